package cluster

import (
	"bytes"
	"embed"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"pfd.dev/devcluster/internal/pki"
)

//go:embed config
var configFiles embed.FS

var configTemplates = template.Must(template.ParseFS(configFiles, "config/*"))

// writeConfig writes certificates, kubeconfigs and the components' configuration files.
func (c *Cluster) writeConfig(node net.IP) error {
	if err := os.MkdirAll(c.path("config"), 0o700); err != nil {
		return err
	}
	if err := pki.Ensure(c.path("pki"), c.identities(node)); err != nil {
		return err
	}
	for _, client := range []string{"kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns"} {
		if err := c.writeKubeconfig(c.path("config", client+".kubeconfig"), client); err != nil {
			return err
		}
	}
	if err := c.writeKubeconfig(c.Kubeconfig(), "admin"); err != nil {
		return err
	}
	return c.writeTemplates(node)
}

func (c *Cluster) identities(node net.IP) []pki.Identity {
	addresses := []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(firstService)}
	if node != nil {
		addresses = append(addresses, node)
	}
	return []pki.Identity{
		{Name: "apiserver", CommonName: "kube-apiserver", Addresses: addresses, DNSNames: []string{"localhost", "kubernetes",
			"kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}},
		{Name: "apiserver-kubelet-client", CommonName: "kube-apiserver-kubelet-client", Organizations: []string{"system:masters"}},
		{Name: "admin", CommonName: "admin", Organizations: []string{"system:masters"}},
		{Name: "kube-controller-manager", CommonName: "system:kube-controller-manager"},
		{Name: "kube-scheduler", CommonName: "system:kube-scheduler"},
		{Name: "kubelet", CommonName: "system:node:" + nodeName, Organizations: []string{"system:nodes"}},
		{Name: "kube-proxy", CommonName: "system:kube-proxy"},
		{Name: "coredns", CommonName: dnsUser},
	}
}

// writeKubeconfig writes a kubeconfig that holds its certificates, so that it can be copied anywhere on this machine.
func (c *Cluster) writeKubeconfig(file, user string) error {
	read := map[string][]byte{}
	for _, name := range []string{"ca.crt", user + ".crt", user + ".key"} {
		content, err := os.ReadFile(c.pki(name))
		if err != nil {
			return err
		}
		read[name] = content
	}
	const name = "devcluster"
	config := api.NewConfig()
	config.Clusters[name] = &api.Cluster{
		Server: url("https", "127.0.0.1", c.Options.Port), CertificateAuthorityData: read["ca.crt"],
	}
	config.AuthInfos[user] = &api.AuthInfo{ClientCertificateData: read[user+".crt"], ClientKeyData: read[user+".key"]}
	config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: user}
	config.CurrentContext = name
	return clientcmd.WriteToFile(*config, file)
}

func (c *Cluster) writeTemplates(node net.IP) error {
	values := map[string]any{
		"State": c.State, "RunDir": runDir, "Socket": c.Socket(), "Node": node.String(), "NodeName": nodeName,
		"Snapshotter": c.snapshotter(), "PauseImage": pauseImage, "CNIPrograms": cniPrograms(),
		"Bridge": bridgeName, "Network": networkName, "NodePodCIDR": nodePodCIDR, "PodCIDR": podCIDR,
		"ClientCA": c.pki("ca.crt"), "DNSService": dnsService, "DNSPort": c.dnsPort(), "DNSReadyPort": c.dnsReadyPort(),
		"ResolvConf": resolvConf(),
	}
	for _, each := range configTemplates.Templates() {
		target := c.path("config", each.Name())
		if filepath.Ext(each.Name()) == ".conflist" { // containerd reads every file of this folder
			target = c.path("config", "cni", each.Name())
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		var content bytes.Buffer
		if err := each.Execute(&content, values); err != nil {
			return err
		}
		// Only what changed: kube-proxy ends itself when its file is written.
		if present, err := os.ReadFile(target); err == nil && bytes.Equal(present, content.Bytes()) {
			continue
		}
		if err := os.WriteFile(target, content.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// snapshotter is overlayfs, except where the state itself is on one (inside a container), which the kernel refuses.
func (c *Cluster) snapshotter() string {
	var system unix.Statfs_t
	if err := unix.Statfs(c.State, &system); err == nil && system.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native"
	}
	return "overlayfs"
}

// cniPrograms is where the CNI plugins are: Debian's folder or everybody else's.
func cniPrograms() string {
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"} {
		if _, err := os.Stat(filepath.Join(dir, "bridge")); err == nil {
			return dir
		}
	}
	return "/usr/lib/cni"
}

// resolvConf is the file with the machine's name servers, "" if it has none: cluster names resolve all the same.
func resolvConf() string {
	// Behind systemd-resolved the usual file names a stub on loopback, of no use to pods.
	for _, file := range []string{"/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"} {
		if text, err := os.ReadFile(file); err == nil && hasNameServer(string(text)) {
			return file
		}
	}
	return ""
}

func hasNameServer(resolvConf string) bool {
	for line := range strings.Lines(resolvConf) {
		fields := strings.Fields(line)
		if len(fields) > 1 && fields[0] == "nameserver" {
			return true
		}
	}
	return false
}
