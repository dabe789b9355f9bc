package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const readyTimeout = 90 * time.Second

// awaitReady waits for what a user needs beyond healthy processes.
func (c *Cluster) awaitReady(ctx context.Context, report Report) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	conditions := []struct {
		name      string
		component string // whose log tells more
		attempt   check
	}{
		{"default service account", "kube-controller-manager", serviceAccountReady(client)},
		{"node Ready", "kubelet", nodeReady(client)},
		{"cluster DNS answers", "coredns", dnsAnswers},
	}
	if c.Options.ControlPlaneOnly {
		conditions = conditions[:1]
	}
	for _, condition := range conditions {
		begin := time.Now()
		if err := poll(ctx, readyTimeout, func() bool { return true }, condition.attempt); err != nil {
			return fmt.Errorf("no %s after %s: %w\n  log of %s: %s, the last lines:\n%s", condition.name,
				time.Since(begin).Round(time.Second), err, condition.component,
				c.keeper().LogFile(condition.component), c.keeper().Tail(condition.component, logTail))
		}
		report(condition.name, time.Since(begin), "")
	}
	return nil
}

func (c *Cluster) restConfig() (*rest.Config, error) {
	return clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
}

func (c *Cluster) client() (*kubernetes.Clientset, error) {
	config, err := c.restConfig()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

func serviceAccountReady(client *kubernetes.Clientset) check {
	return func(ctx context.Context) error {
		_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", meta.GetOptions{})
		return err
	}
}

func nodeReady(client *kubernetes.Clientset) check {
	return func(ctx context.Context) error {
		node, err := client.CoreV1().Nodes().Get(ctx, nodeName, meta.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range node.Status.Conditions {
			// A heartbeat from before the kubelet was started tells nothing about this one.
			if condition.Type == core.NodeReady {
				if condition.Status == core.ConditionTrue {
					return nil
				}
				return fmt.Errorf("node %s: %s: %s", nodeName, condition.Reason, condition.Message)
			}
		}
		return errors.New("the kubelet has not reported yet")
	}
}

// dnsAnswers resolves a cluster name the way a pod does: through the Service address, so through kube-proxy's rules.
func dnsAnswers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(dnsService, "53"))
	}}
	_, err := resolver.LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
	return err
}
