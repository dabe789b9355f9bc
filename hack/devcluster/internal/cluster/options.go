// Package cluster brings one Kubernetes cluster up on this machine, says how it is, and takes it down without a trace.
package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Ports and addresses. The full cluster uses fixed ones, as there can be one per machine.
const (
	FullPort         = 6443
	ControlPlanePort = 16443

	nodeName      = "node-0"
	bridgeName    = "pfdcni0"
	networkName   = "pfd-pods"
	podCIDR       = "10.244.0.0/16"
	nodePodCIDR   = "10.244.0.0/24"
	serviceCIDR   = "10.96.0.0/16"
	firstService  = "10.96.0.1"
	dnsService    = "10.96.0.10"
	controlGroup  = "kubepods"
	pauseImage    = "localhost/devcluster-pause:1"
	kubeletHealth = 10248
	kubeletPort   = 10250
	proxyHealth   = 10256

	runDir = "/run/pfd-devcluster"
)

// Options is what the user decides about a cluster; it is kept in its state directory.
type Options struct {
	Port             int  `json:"port"`             // of the API server; the other components take the ports after it
	ControlPlaneOnly bool `json:"controlPlaneOnly"` // etcd, API server and controllers; no node, no pods that run
	Audit            bool `json:"audit"`            // write an audit log
}

// Cluster is one cluster, running or not.
type Cluster struct {
	State   string // directory of everything that is kept
	Options Options
	Binary  string // this program, which holds the components too
	Pause   string // static program of the pods' first process; used by clusters with a node
}

// Load returns the cluster of the state directory with the options it was started with; found is false if there is none.
func Load(state string) (options Options, found bool, err error) {
	text, err := os.ReadFile(filepath.Join(state, "cluster.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return Options{}, false, nil
	}
	if err := errors.Join(err, json.Unmarshal(text, &options)); err != nil {
		return Options{}, false, fmt.Errorf("%s: %w; run: devcluster down --purge --state %s", filepath.Join(state, "cluster.json"), err, state)
	}
	return options, true, nil
}

func (c *Cluster) save() error {
	text, err := json.Marshal(c.Options)
	if err != nil {
		return err
	}
	return os.WriteFile(c.path("cluster.json"), text, 0o644)
}

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return c.path("kubeconfig") }

// AuditLog is the path of the audit log.
func (c *Cluster) AuditLog() string { return c.path("log", "audit.log") }

// Socket is the address of the cluster's containerd.
func (c *Cluster) Socket() string { return filepath.Join(runDir, "containerd.sock") }

func (c *Cluster) path(elements ...string) string {
	return filepath.Join(append([]string{c.State}, elements...)...)
}

func (c *Cluster) pki(name string) string { return c.path("pki", name) }

// The ports after the API server's.
func (c *Cluster) etcdPort() int              { return c.Options.Port + 1 }
func (c *Cluster) etcdPeerPort() int          { return c.Options.Port + 2 }
func (c *Cluster) controllerManagerPort() int { return c.Options.Port + 3 }
func (c *Cluster) schedulerPort() int         { return c.Options.Port + 4 }
func (c *Cluster) dnsPort() int               { return c.Options.Port + 5 }
func (c *Cluster) dnsReadyPort() int          { return c.Options.Port + 6 }

func (c *Cluster) ports() []int {
	ports := []int{c.Options.Port, c.etcdPort(), c.etcdPeerPort(), c.controllerManagerPort()}
	if !c.Options.ControlPlaneOnly {
		ports = append(ports, c.schedulerPort(), c.dnsPort(), c.dnsReadyPort(), kubeletHealth, kubeletPort, proxyHealth)
	}
	return ports
}

// Lock waits until nobody else works on this cluster, calling waiting with the lock's file first if it must; release
// undoes it.
func (c *Cluster) Lock(waiting func(file string)) (release func(), err error) {
	if err := os.MkdirAll(c.State, 0o755); err != nil {
		return nil, err
	}
	// Beside the state, not in it: it must stay one file while a purge deletes the directory.
	file, err := os.OpenFile(filepath.Clean(c.State)+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		waiting(file.Name())
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = file.Close() }, nil
}

// claimNode makes this the one cluster on the machine that has a node: the pod network, the container runtime's
// socket and the kubelet's ports exist once.
func (c *Cluster) claimNode() error {
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return err
	}
	owner, err := os.ReadFile(filepath.Join(runDir, "owner"))
	if err == nil && string(owner) != c.State {
		if _, found, _ := Load(string(owner)); found {
			return fmt.Errorf("the cluster of %s has this machine's node; take it down first: devcluster down --state %s", owner, owner)
		}
	}
	return os.WriteFile(filepath.Join(runDir, "owner"), []byte(c.State), 0o644)
}

func (c *Cluster) ownsNode() bool {
	owner, err := os.ReadFile(filepath.Join(runDir, "owner"))
	return err == nil && string(owner) == c.State
}

func url(scheme, address string, port int) string {
	return scheme + "://" + address + ":" + strconv.Itoa(port)
}
