package host

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// RemoveBridge deletes the bridge called name and the interfaces attached to it. No such bridge is no error.
func RemoveBridge(name string) error {
	bridge, err := netlink.LinkByName(name)
	if err != nil {
		var missing netlink.LinkNotFoundError
		if errors.As(err, &missing) {
			return nil
		}
		return err
	}
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	for _, link := range links {
		if link.Attrs().MasterIndex == bridge.Attrs().Index {
			err = errors.Join(err, netlink.LinkDel(link))
		}
	}
	return errors.Join(err, netlink.LinkDel(bridge))
}

// Unmount takes away every mount below the given directories, innermost first.
func Unmount(dirs ...string) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var points []string
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		point := strings.ReplaceAll(fields[4], `\040`, " ")
		if slices.ContainsFunc(dirs, func(dir string) bool { return strings.HasPrefix(point, dir+"/") }) {
			points = append(points, point)
		}
	}
	slices.Reverse(points)
	for _, point := range points {
		// Lazily: a process that is just dying may still hold files there.
		if unmountErr := unix.Unmount(point, unix.MNT_DETACH); unmountErr != nil && !errors.Is(unmountErr, unix.EINVAL) {
			err = errors.Join(err, &fs.PathError{Op: "unmount", Path: point, Err: unmountErr})
		}
	}
	return err
}

// RemoveNetworkNamespaces unmounts and deletes the named network namespaces.
func RemoveNetworkNamespaces(paths []string) error {
	var err error
	for _, path := range paths {
		_ = unix.Unmount(path, unix.MNT_DETACH)
		if removeErr := os.Remove(path); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}
	return err
}

// RemoveControlGroups kills what is in the control groups called name, at the root of each hierarchy, and removes them.
func RemoveControlGroups(name string) error {
	roots, err := filepath.Glob("/sys/fs/cgroup/*/" + name)
	if err != nil {
		return err
	}
	roots = append(roots, "/sys/fs/cgroup/"+name)
	deadline := time.Now().Add(5 * time.Second)
	for {
		err = nil
		for _, root := range roots {
			err = errors.Join(err, removeControlGroup(root))
		}
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond) // a killed process leaves its group a moment later
	}
}

func removeControlGroup(root string) error {
	var groups []string
	walkErr := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			groups = append(groups, path)
		}
		return nil
	})
	slices.Reverse(groups) // children before their parents
	for _, group := range groups {
		for _, pid := range members(group) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err := os.Remove(group); err != nil && !errors.Is(err, fs.ErrNotExist) {
			walkErr = errors.Join(walkErr, err)
		}
	}
	return walkErr
}

func members(group string) []int {
	text, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// kernelSettings are what the kubelet and the bridge plugin change.
var kernelSettings = []string{
	"net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet", "vm/overcommit_memory", "vm/panic_on_oom",
	"kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// SaveKernelSettings writes the settings that a cluster will change to file, unless that exists already.
func SaveKernelSettings(file string) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	values := map[string]string{}
	for _, name := range kernelSettings {
		if value, err := os.ReadFile("/proc/sys/" + name); err == nil {
			values[name] = strings.TrimSpace(string(value))
		}
	}
	text, err := json.MarshalIndent(values, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// RestoreKernelSettings puts back what SaveKernelSettings wrote, and deletes the file. No file is no error.
func RestoreKernelSettings(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	values := map[string]string{}
	if err := errors.Join(err, json.Unmarshal(text, &values)); err != nil {
		return err
	}
	for name, value := range values {
		path := "/proc/sys/" + name
		if now, readErr := os.ReadFile(path); readErr == nil && strings.TrimSpace(string(now)) != value {
			err = errors.Join(err, os.WriteFile(path, []byte(value), 0o644))
		}
	}
	return errors.Join(err, os.Remove(file))
}
