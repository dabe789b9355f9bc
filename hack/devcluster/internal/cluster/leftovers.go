package cluster

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Where programs keep things whatever we tell them.
const (
	cniResults       = "/var/lib/cni/results"
	logLinks         = "/var/log/containers"
	networkNamespace = "/var/run/netns/"
	kubeletDefault   = "/var/lib/kubelet"
)

// removeNetworkResults deletes what the CNI library noted about our network, and returns the network namespaces that
// are still there: a runtime that crashed leaves them mounted.
func removeNetworkResults() (namespaces []string, err error) {
	files, err := filepath.Glob(filepath.Join(cniResults, networkName+"-*"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		var note struct {
			ContainerID string
			Result      struct{ Interfaces []struct{ Sandbox string } }
		}
		if text, readErr := os.ReadFile(file); readErr == nil {
			_ = json.Unmarshal(text, &note) // a damaged note names nothing, and is deleted all the same
		}
		for _, end := range note.Result.Interfaces {
			if strings.HasPrefix(end.Sandbox, networkNamespace) {
				namespaces = append(namespaces, end.Sandbox)
			}
		}
		// Beside its own network every pod has one called cni-loopback.
		loopback := filepath.Join(cniResults, "cni-loopback-"+note.ContainerID+"-lo")
		if removeErr := os.Remove(loopback); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
		err = errors.Join(err, os.Remove(file))
	}
	return namespaces, err
}

// removeLogLinks deletes the kubelet's links to the logs of our pods.
func (c *Cluster) removeLogLinks() error {
	links, err := filepath.Glob(logLinks + "/*")
	if err != nil {
		return err
	}
	for _, link := range links {
		if target, readErr := os.Readlink(link); readErr == nil && strings.HasPrefix(target, c.State+"/") {
			err = errors.Join(err, os.Remove(link))
		}
	}
	return err
}

// removeDevicePlugins deletes the socket and notes of the kubelet's device manager, and the folders if nothing else is there.
func removeDevicePlugins() error {
	plugins := filepath.Join(kubeletDefault, "device-plugins")
	for _, name := range []string{"kubelet.sock", "kubelet_internal_checkpoint", "DEPRECATION"} {
		if err := os.Remove(filepath.Join(plugins, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if os.Remove(plugins) == nil { // refused by the kernel unless empty, which is what we want
		_ = os.Remove(kubeletDefault)
	}
	return nil
}
