package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"pfd.dev/devcluster/internal/host"
	"pfd.dev/devcluster/internal/images"
)

const (
	logTail     = 15
	hangTimeout = 10 * time.Second // a component that runs but is not healthy for so long hangs
)

// Report receives one line per finished phase.
type Report func(phase string, took time.Duration, note string)

// Up brings the cluster up and waits until it is ready. What runs already and is healthy is left as it is; what died,
// hangs, or has other arguments than now wanted is started anew.
func (c *Cluster) Up(ctx context.Context, report Report) error {
	node, err := c.prepare()
	if err != nil {
		return err
	}
	first := []component{c.etcd()}
	if !c.Options.ControlPlaneOnly {
		first = append(first, c.containerd())
	}
	second := []component{c.apiServer(node)}
	third := []component{c.controllerManager()}
	if !c.Options.ControlPlaneOnly {
		third = append(third, c.scheduler(), c.kubelet(node), c.proxy(), c.coreDNS())
	}
	for _, together := range [][]component{first, second} {
		if err := c.ensure(ctx, report, together...); err != nil {
			return err
		}
	}
	if !c.Options.ControlPlaneOnly {
		// Pods need the image, CoreDNS its permissions, so both come before what uses them.
		if err := timed(report, "pause image", c.loadPauseImage); err != nil {
			return err
		}
		if err := timed(report, "cluster DNS objects", func() (string, error) { return "", c.applyDNS(ctx, node) }); err != nil {
			return err
		}
	}
	if err := c.ensure(ctx, report, third...); err != nil {
		return err
	}
	return c.awaitReady(ctx, report)
}

// prepare writes everything the components read, and returns the node's address.
func (c *Cluster) prepare() (net.IP, error) {
	if !c.Options.ControlPlaneOnly && os.Geteuid() != 0 {
		return nil, errors.New("a cluster with a node needs root (containers, packet filter rules); --control-plane-only does not")
	}
	if err := os.MkdirAll(c.State, 0o755); err != nil {
		return nil, err
	}
	var node net.IP
	if !c.Options.ControlPlaneOnly {
		var err error
		if node, err = host.Address(bridgeName); err != nil {
			return nil, err
		}
		if err := c.claimNode(); err != nil {
			return nil, err
		}
		if err := host.SaveKernelSettings(c.path("kernel-settings.json")); err != nil {
			return nil, err
		}
	}
	if err := c.save(); err != nil {
		return nil, err
	}
	return node, c.writeConfig(node)
}

// ensure starts the components that do not run well, all at once, and waits for each to be healthy.
func (c *Cluster) ensure(ctx context.Context, report Report, components ...component) error {
	keeper := c.keeper()
	started := map[string]bool{}
	begin := time.Now()
	for _, each := range components {
		runs := func() bool { return keeper.RunsAs(each.Spec) }
		if runs() && poll(ctx, hangTimeout, runs, each.healthy) == nil {
			continue
		}
		if err := keeper.Stop(each.Name); err != nil {
			return err
		}
		for _, port := range each.ports {
			if err := host.CheckPortFree(port); err != nil {
				return fmt.Errorf("%s cannot start: %w", each.Name, err)
			}
		}
		if err := keeper.Start(each.Spec); err != nil {
			return err
		}
		started[each.Name] = true
	}
	for _, each := range components {
		if !started[each.Name] {
			report(each.Name, 0, "already running")
			continue
		}
		if err := c.await(ctx, each); err != nil {
			return err
		}
		report(each.Name, time.Since(begin), "")
	}
	return nil
}

// await waits until a component that was just started is healthy, or has ended.
func (c *Cluster) await(ctx context.Context, each component) error {
	alive := func() bool { return c.keeper().PID(each.Name) != 0 }
	problem := poll(ctx, each.timeout, alive, each.healthy)
	if problem == nil {
		return nil
	}
	state := fmt.Sprintf("not healthy after %s: %v", each.timeout, problem)
	if !alive() {
		state = "ended by itself"
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted while waiting for %s", each.Name)
	}
	return fmt.Errorf("%s %s\n  log: %s, the last lines:\n%s", each.Name, state,
		c.keeper().LogFile(each.Name), c.keeper().Tail(each.Name, logTail))
}

// poll repeats attempt until it returns nil, time is up, or goOn says no; it returns attempt's last error.
func poll(ctx context.Context, timeout time.Duration, goOn func() bool, attempt check) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		problem := attempt(ctx)
		if problem == nil || !goOn() {
			return problem
		}
		select {
		case <-ctx.Done():
			return problem
		case <-time.After(checkInterval):
		}
	}
}

func timed(report Report, phase string, work func() (string, error)) error {
	begin := time.Now()
	note, err := work()
	if err != nil {
		return fmt.Errorf("%s: %w", phase, err)
	}
	report(phase, time.Since(begin), note)
	return nil
}

// loadPauseImage makes the image of the pods' first process from the program built beside this one.
func (c *Cluster) loadPauseImage() (string, error) {
	program, err := os.ReadFile(c.Pause)
	if err != nil {
		return "", err
	}
	archive := c.path("pause.tar")
	if err := images.WriteSingleBinary(archive, pauseImage, "pause", program); err != nil {
		return "", err
	}
	_, loaded, err := images.Store{Socket: c.Socket()}.Load(archive)
	if err == nil && !loaded {
		return "already there", nil
	}
	return "", err
}

// LoadImage imports an image archive into the node's containerd, unless it is there already.
func (c *Cluster) LoadImage(file string) (names []string, loaded bool, err error) {
	if c.Options.ControlPlaneOnly {
		return nil, false, errors.New("a control plane without a node runs no images")
	}
	if c.keeper().PID("containerd") == 0 {
		return nil, false, errors.New("containerd does not run: devcluster up")
	}
	absolute, err := filepath.Abs(file)
	if err != nil {
		return nil, false, err
	}
	return images.Store{Socket: c.Socket()}.Load(absolute)
}
