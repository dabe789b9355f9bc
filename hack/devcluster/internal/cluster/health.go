package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// check returns nil when what it looks at works, else why not.
type check func(context.Context) error

const (
	checkTimeout  = 3 * time.Second
	checkInterval = 100 * time.Millisecond
)

func httpOK(address string) check {
	return func(ctx context.Context) error { return get(ctx, http.DefaultTransport, address) }
}

// insecureOK is for components that make their own serving certificate.
func insecureOK(address string) check {
	return func(ctx context.Context) error {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		defer transport.CloseIdleConnections()
		return get(ctx, transport, address)
	}
}

func (c *Cluster) httpsOK(address string) check {
	return func(ctx context.Context) error {
		authority, err := os.ReadFile(c.pki("ca.crt"))
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(authority)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
		defer transport.CloseIdleConnections()
		return get(ctx, transport, address)
	}
}

func get(ctx context.Context, transport http.RoundTripper, address string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 2000))
	if err != nil {
		return err
	}
	return fmt.Errorf("%s answers %s: %s", address, response.Status, strings.TrimSpace(string(body)))
}

// runtimeOK asks containerd whether it can run pods.
func (c *Cluster) runtimeOK(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return c.withRuntime(func(client runtime.RuntimeServiceClient) error {
		status, err := client.Status(ctx, &runtime.StatusRequest{})
		if err != nil {
			return err
		}
		for _, condition := range status.Status.Conditions {
			if !condition.Status {
				return fmt.Errorf("containerd: %s is false: %s", condition.Type, condition.Message)
			}
		}
		return nil
	})
}

// withRuntime calls work with a connection to containerd's CRI.
func (c *Cluster) withRuntime(work func(runtime.RuntimeServiceClient) error) error {
	connection, err := grpc.NewClient("unix://"+c.Socket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	return work(runtime.NewRuntimeServiceClient(connection))
}

// findProgram is the path of a program of the machine, or its bare name, which then fails with a clear message.
func findProgram(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		return name
	}
	return path
}
