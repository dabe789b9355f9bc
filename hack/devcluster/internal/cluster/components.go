package cluster

import (
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"pfd.dev/devcluster/internal/process"
)

// component is one process of the cluster.
type component struct {
	process.Spec
	ports   []int // must be free when it is not running
	healthy check
	timeout time.Duration
}

const (
	usualTimeout     = 60 * time.Second
	apiServerTimeout = 120 * time.Second
)

func (c *Cluster) keeper() process.Keeper {
	return process.Keeper{Dir: c.path("run"), LogDir: c.path("log"), Owner: c.State}
}

// controlPlaneEnv keeps proxies and other settings of the caller's shell out of the components.
func (c *Cluster) controlPlaneEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.State}
}

func (c *Cluster) embedded(name string, healthy check, ports []int, arguments ...string) component {
	spec := process.Spec{Name: name, Program: c.Binary, Args: arguments, Env: c.controlPlaneEnv(), Files: c.filesIn(arguments)}
	return component{Spec: spec, healthy: healthy, ports: ports, timeout: usualTimeout}
}

// filesIn lists the certificates and configuration files that are named in arguments: a change of one needs a restart.
func (c *Cluster) filesIn(arguments []string) []string {
	var files []string
	for _, argument := range arguments {
		_, value, found := strings.Cut(argument, "=")
		if !found {
			value = argument
		}
		if strings.HasPrefix(value, c.path("pki")+"/") || strings.HasPrefix(value, c.path("config")+"/") {
			files = append(files, value)
		}
	}
	return files
}

func (c *Cluster) etcd() component {
	client, peer := url("http", "127.0.0.1", c.etcdPort()), url("http", "127.0.0.1", c.etcdPeerPort())
	return c.embedded("etcd", httpOK(client+"/health"), []int{c.etcdPort(), c.etcdPeerPort()},
		"--data-dir="+c.path("etcd"),
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer,
		"--auto-compaction-retention=1", "--log-level=warn",
		// A power cut may lose the last writes. A development cluster can be made again, and disks are slow.
		"--unsafe-no-fsync",
	)
}

func (c *Cluster) apiServer(node net.IP) component {
	arguments := []string{
		"--etcd-servers=" + url("http", "127.0.0.1", c.etcdPort()),
		"--secure-port=" + strconv.Itoa(c.Options.Port),
		"--service-cluster-ip-range=" + serviceCIDR,
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--client-ca-file=" + c.pki("ca.crt"),
		"--tls-cert-file=" + c.pki("apiserver.crt"), "--tls-private-key-file=" + c.pki("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.pki("sa.pub"), "--service-account-signing-key-file=" + c.pki("sa.key"),
		"--allow-privileged=true",
	}
	if c.Options.ControlPlaneOnly {
		arguments = append(arguments, "--bind-address=127.0.0.1", "--endpoint-reconciler-type=none")
	} else {
		arguments = append(arguments,
			"--advertise-address="+node.String(), "--kubelet-preferred-address-types=InternalIP",
			"--kubelet-client-certificate="+c.pki("apiserver-kubelet-client.crt"),
			"--kubelet-client-key="+c.pki("apiserver-kubelet-client.key"))
	}
	if c.Options.Audit {
		arguments = append(arguments, "--audit-policy-file="+c.path("config", "audit.yaml"),
			"--audit-log-path="+c.AuditLog(), "--audit-log-maxsize=100", "--audit-log-maxbackup=1")
	}
	healthy := c.httpsOK(url("https", "127.0.0.1", c.Options.Port) + "/readyz")
	server := c.embedded("kube-apiserver", healthy, []int{c.Options.Port}, arguments...)
	server.timeout = apiServerTimeout
	return server
}

func (c *Cluster) controllerManager() component {
	config := c.path("config", "kube-controller-manager.kubeconfig")
	arguments := []string{
		"--kubeconfig=" + config, "--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(c.controllerManagerPort()),
		"--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
		"--service-account-private-key-file=" + c.pki("sa.key"), "--root-ca-file=" + c.pki("ca.crt"),
		"--use-service-account-credentials", "--leader-elect=false",
	}
	if !c.Options.ControlPlaneOnly {
		arguments = append(arguments, "--allocate-node-cidrs", "--cluster-cidr="+podCIDR)
	}
	healthy := insecureOK(url("https", "127.0.0.1", c.controllerManagerPort()) + "/healthz")
	return c.embedded("kube-controller-manager", healthy, []int{c.controllerManagerPort()}, arguments...)
}

func (c *Cluster) scheduler() component {
	config := c.path("config", "kube-scheduler.kubeconfig")
	healthy := insecureOK(url("https", "127.0.0.1", c.schedulerPort()) + "/healthz")
	return c.embedded("kube-scheduler", healthy, []int{c.schedulerPort()},
		"--kubeconfig="+config, "--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(c.schedulerPort()),
		"--authentication-kubeconfig="+config, "--authorization-kubeconfig="+config, "--leader-elect=false")
}

// containerd is the one component that is a program of the machine. It alone keeps the caller's environment: it pulls
// images, perhaps through a proxy.
func (c *Cluster) containerd() component {
	spec := process.Spec{Name: "containerd", Program: findProgram("containerd"), Env: os.Environ(),
		Args: []string{"--config=" + c.path("config", "containerd.toml")}}
	spec.Files = c.filesIn(spec.Args)
	return component{Spec: spec, healthy: c.runtimeOK, timeout: usualTimeout}
}

func (c *Cluster) kubelet(node net.IP) component {
	healthy := httpOK(url("http", "127.0.0.1", kubeletHealth) + "/healthz")
	return c.embedded("kubelet", healthy, []int{kubeletHealth, kubeletPort},
		"--config="+c.path("config", "kubelet.yaml"), "--kubeconfig="+c.path("config", "kubelet.kubeconfig"),
		"--hostname-override="+nodeName, "--node-ip="+node.String(), "--root-dir="+c.path("kubelet"),
		"--cert-dir="+c.path("kubelet", "pki"))
}

func (c *Cluster) proxy() component {
	healthy := httpOK(url("http", "127.0.0.1", proxyHealth) + "/livez")
	return c.embedded("kube-proxy", healthy, []int{proxyHealth}, "--config="+c.path("config", "kube-proxy.yaml"))
}

func (c *Cluster) coreDNS() component {
	healthy := httpOK(url("http", "127.0.0.1", c.dnsReadyPort()) + "/ready")
	return c.embedded("coredns", healthy, []int{c.dnsPort(), c.dnsReadyPort()}, c.path("config", "Corefile"))
}

// names of the components in the order they are stopped: those that act on the others go first.
func (c *Cluster) stopOrder() [][]string {
	return [][]string{
		{"kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns"}, {"kube-apiserver"}, {"etcd", "containerd"},
	}
}
