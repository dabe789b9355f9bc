package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"pfd.dev/devcluster/internal/host"
)

const removePodsTimeout = 60 * time.Second

// Down stops every process of the cluster and takes back all changes to the machine, also after a crash. Certificates,
// logs and loaded images stay in the state directory for the next Up, unless purge is set.
func (c *Cluster) Down(ctx context.Context, purge bool, report Report) error {
	keeper := c.keeper()
	var problems []error
	note := func(what string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", what, err))
		}
	}
	order := c.stopOrder()
	note("stop", timed(report, "node and controllers stopped", func() (string, error) { return "", c.stop(order[0]) }))
	if c.ownsNode() {
		note("pods", timed(report, "pods removed", func() (string, error) { return c.removePods(ctx) }))
	}
	note("stop", timed(report, "control plane stopped", func() (string, error) {
		return "", errors.Join(c.stop(order[1]), c.stop(order[2]))
	}))
	if strays := keeper.KillStrays(); strays > 0 {
		report(fmt.Sprintf("%d stray processes killed", strays), 0, "")
	}
	if c.ownsNode() {
		note("machine", timed(report, "machine restored", func() (string, error) { return "", c.restoreMachine() }))
	}
	kept := []string{"etcd", "run", "kubelet", "ipam", "pod-logs", "opt", "pause.tar", "kubeconfig"}
	if len(problems) == 0 {
		kept = append(kept, "cluster.json")
	}
	for _, name := range kept {
		note("delete", os.RemoveAll(c.path(name)))
	}
	if purge && len(problems) == 0 {
		note("delete", os.RemoveAll(c.State))
		note("delete", os.RemoveAll(filepath.Clean(c.State)+".lock"))
	}
	return errors.Join(problems...)
}

func (c *Cluster) stop(names []string) error {
	problems := make([]error, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() { problems[i] = c.keeper().Stop(name) })
	}
	group.Wait()
	return errors.Join(problems...)
}

// removePods takes all pods down through containerd, which knows their mounts, interfaces and packet filter rules.
// After a crash it is started once more for that.
func (c *Cluster) removePods(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, removePodsTimeout)
	defer cancel()
	if c.runtimeOK(ctx) != nil {
		if _, err := os.Stat(c.path("config", "containerd.toml")); err != nil {
			return "none: it never ran", nil
		}
		runtime := c.containerd()
		if err := errors.Join(c.stop([]string{runtime.Name}), c.keeper().Start(runtime.Spec)); err != nil {
			return "", err
		}
		if err := c.await(ctx, runtime); err != nil {
			return "containerd cannot: by force", nil
		}
	}
	removed := 0
	err := c.withRuntime(func(client runtime.RuntimeServiceClient) error {
		listing, err := client.ListPodSandbox(ctx, &runtime.ListPodSandboxRequest{})
		if err != nil {
			return err
		}
		removed = len(listing.Items)
		problems := make([]error, removed)
		var group sync.WaitGroup
		for i, pod := range listing.Items {
			group.Go(func() { problems[i] = removePod(ctx, client, pod.Id) })
		}
		group.Wait()
		return errors.Join(problems...)
	})
	return fmt.Sprintf("%d", removed), err
}

func removePod(ctx context.Context, client runtime.RuntimeServiceClient, id string) error {
	if _, err := client.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: id}); err != nil {
		return err
	}
	_, err := client.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: id})
	return err
}

// restoreMachine removes by force what no component is left to remove, and what none ever does.
func (c *Cluster) restoreMachine() error {
	namespaces, resultsErr := removeNetworkResults()
	err := errors.Join(
		resultsErr,
		host.RemoveControlGroups(controlGroup),
		host.Unmount(c.State, runDir),
		host.RemoveNetworkNamespaces(namespaces),
		host.RemoveBridge(bridgeName),
		host.RemoveRules(networkName),
		host.RestoreKernelSettings(c.path("kernel-settings.json")),
		c.removeLogLinks(),
		removeDevicePlugins(),
	)
	if err != nil {
		return err
	}
	return os.RemoveAll(runDir)
}
