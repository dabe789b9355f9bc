package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pfd.dev/devcluster/internal/cluster"
)

// flags are what every subcommand takes to say which cluster is meant.
type flags struct {
	state            string
	port             int
	controlPlaneOnly bool
}

func newCommand() *cobra.Command {
	selected := &flags{}
	root := &cobra.Command{
		Use:   "devcluster",
		Short: "A real single-node Kubernetes on this machine",
		Long: `devcluster runs a real Kubernetes on this machine: etcd, API server, controllers, scheduler, kubelet, kube-proxy and
CoreDNS from this one program, and pods in the machine's containerd. One cluster with a node fits on a machine; of
control planes alone (--control-plane-only) as many as there are ports.`,
		SilenceUsage: true, SilenceErrors: true,
	}
	persistent := root.PersistentFlags()
	persistent.StringVar(&selected.state, "state", "", "directory the cluster is kept in (default $PFD_CACHE/devcluster,\n"+
		"with --control-plane-only $PFD_CACHE/control-plane-PORT; PFD_CACHE is ~/.cache/pfd-operator unless set)")
	persistent.BoolVar(&selected.controlPlaneOnly, "control-plane-only", false,
		"etcd, API server and controllers only: seconds to start, needs no root, pods stay Pending")
	persistent.IntVar(&selected.port, "port", 0, fmt.Sprintf("port of the API server (default %d, with --control-plane-only %d);\n"+
		"the six ports after it are used too", cluster.FullPort, cluster.ControlPlanePort))
	root.AddCommand(upCommand(selected), downCommand(selected), statusCommand(selected), loadImageCommand(selected),
		kubeconfigCommand(selected), kubectlCommand(selected))
	return root
}

// find returns the cluster that the flags select; found is false if it was never brought up.
func (f *flags) find() (selected *cluster.Cluster, found bool, err error) {
	wanted := cluster.Options{Port: f.port, ControlPlaneOnly: f.controlPlaneOnly}
	if wanted.Port == 0 {
		wanted.Port = cluster.FullPort
		if wanted.ControlPlaneOnly {
			wanted.Port = cluster.ControlPlanePort
		}
	}
	state := f.state
	if state == "" {
		cache := os.Getenv("PFD_CACHE")
		if cache == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return nil, false, err
			}
			cache = filepath.Join(home, ".cache", "pfd-operator")
		}
		state = filepath.Join(cache, "devcluster")
		if wanted.ControlPlaneOnly {
			state = filepath.Join(cache, "control-plane-"+strconv.Itoa(wanted.Port))
		}
	}
	if state, err = filepath.Abs(state); err != nil {
		return nil, false, err
	}
	options, found, err := cluster.Load(state)
	if err != nil {
		return nil, false, err
	}
	if !found {
		options = wanted
	} else if (f.port != 0 && f.port != options.Port) || (f.controlPlaneOnly && !options.ControlPlaneOnly) {
		return nil, false, fmt.Errorf("the cluster in %s was brought up with --port %d --control-plane-only=%t; "+
			"take it down first, or use another --state", state, options.Port, options.ControlPlaneOnly)
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, false, err
	}
	pause := filepath.Join(filepath.Dir(binary), "pause")
	return &cluster.Cluster{State: state, Options: options, Binary: binary, Pause: pause}, found, nil
}

func (f *flags) locked(work func(ctx context.Context, selected *cluster.Cluster) error) error {
	selected, _, err := f.find()
	if err != nil {
		return err
	}
	release, err := selected.Lock(func(file string) {
		fmt.Fprintf(os.Stderr, "waiting: another program works on this cluster or guards it (fuser -v %s names it)\n", file)
	})
	if err != nil {
		return err
	}
	defer release()
	// Once more: another devcluster may have changed it while we waited for the lock.
	if selected, _, err = f.find(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return work(ctx, selected)
}

func report(phase string, took time.Duration, note string) {
	if note != "" {
		note = "  " + note
	}
	fmt.Printf("  %-30s %5.1f s%s\n", phase, took.Seconds(), note)
}

func upCommand(selected *flags) *cobra.Command {
	var audit bool
	command := &cobra.Command{
		Use: "up", Short: "Start the cluster, or what of it does not run, and wait until it is ready", Args: cobra.NoArgs,
	}
	command.Flags().BoolVar(&audit, "audit", false, "write who did what to log/audit.log in the state directory; kept until --audit=false")
	command.RunE = func(command *cobra.Command, _ []string) error {
		begin := time.Now()
		return selected.locked(func(ctx context.Context, wanted *cluster.Cluster) error {
			if command.Flags().Changed("audit") {
				wanted.Options.Audit = audit
			}
			if err := wanted.Up(ctx, report); err != nil {
				return err
			}
			fmt.Printf("ready in %.1f s; export KUBECONFIG=%s\n", time.Since(begin).Seconds(), wanted.Kubeconfig())
			return nil
		})
	}
	return command
}

func downCommand(selected *flags) *cobra.Command {
	var purge bool
	command := &cobra.Command{
		Use: "down", Short: "Stop the cluster and undo every change to the machine; its objects are gone", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return selected.locked(func(ctx context.Context, running *cluster.Cluster) error {
				return running.Down(ctx, purge, report)
			})
		},
	}
	command.Flags().BoolVar(&purge, "purge", false, "delete the loaded images, certificates and logs too")
	return command
}

func statusCommand(selected *flags) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show every component; the exit status is 0 when all are healthy", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			running, found, err := selected.find()
			if err != nil {
				return err
			}
			if !found {
				return fmt.Errorf("no cluster in %s: devcluster up", running.State)
			}
			table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "COMPONENT\tPID\tSTATE\tLOG")
			sick := 0
			for _, each := range running.Status(command.Context()) {
				state := "healthy"
				if each.Problem != "" {
					state = each.Problem
					sick++
				}
				fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", each.Name, each.PID, state, each.Log)
			}
			if err := table.Flush(); err != nil {
				return err
			}
			if sick > 0 {
				return fmt.Errorf("%d components are not healthy: devcluster up repairs them", sick)
			}
			return nil
		},
	}
}

func loadImageCommand(selected *flags) *cobra.Command {
	return &cobra.Command{
		Use: "load-image FILE.tar…", Short: "Put images from docker or OCI archives into the node", Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			return selected.locked(func(_ context.Context, running *cluster.Cluster) error {
				for _, file := range files {
					begin := time.Now()
					names, loaded, err := running.LoadImage(file)
					if err != nil {
						return err
					}
					note := "already there"
					if loaded {
						note = "loaded"
					}
					for _, name := range names {
						report(name, time.Since(begin), note)
					}
				}
				return nil
			})
		},
	}
}

func kubeconfigCommand(selected *flags) *cobra.Command {
	return &cobra.Command{
		Use: "kubeconfig", Short: "Print the path of the administrator's kubeconfig", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			running, _, err := selected.find()
			if err != nil {
				return err
			}
			fmt.Println(running.Kubeconfig())
			return nil
		},
	}
}

// kubectlCommand passes its arguments to the kubectl in this program, so that a machine without one does well.
func kubectlCommand(selected *flags) *cobra.Command {
	return &cobra.Command{
		Use: "kubectl -- ARGUMENTS…", Short: "Run the built-in kubectl on this cluster",
		RunE: func(_ *cobra.Command, arguments []string) error {
			running, found, err := selected.find()
			if err != nil {
				return err
			}
			if !found {
				return errors.New("no such cluster: devcluster up")
			}
			// Set, not appended: of two entries the caller's own would win, and the wrong cluster be changed.
			if err := os.Setenv("KUBECONFIG", running.Kubeconfig()); err != nil {
				return err
			}
			return syscall.Exec(running.Binary, append([]string{"kubectl"}, arguments...), os.Environ())
		},
	}
}
