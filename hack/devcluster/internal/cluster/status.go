package cluster

import (
	"context"
	"strings"
)

// ComponentStatus is how one process of the cluster is.
type ComponentStatus struct {
	Name    string
	PID     int    // 0: it does not run
	Problem string // "" when healthy
	Log     string
}

// Status looks at every component. It changes nothing.
func (c *Cluster) Status(ctx context.Context) []ComponentStatus {
	components := []component{c.etcd(), c.apiServer(nil), c.controllerManager()}
	if !c.Options.ControlPlaneOnly {
		components = append(components, c.containerd(), c.scheduler(), c.kubelet(nil), c.proxy(), c.coreDNS())
	}
	var all []ComponentStatus
	for _, each := range components {
		status := ComponentStatus{Name: each.Name, PID: c.keeper().PID(each.Name), Log: c.keeper().LogFile(each.Name)}
		if status.PID == 0 {
			status.Problem = "does not run"
		} else if err := each.healthy(ctx); err != nil {
			status.Problem, _, _ = strings.Cut(err.Error(), "\n")
		}
		all = append(all, status)
	}
	return all
}
