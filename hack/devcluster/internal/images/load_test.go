package images

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// startContainerd runs a containerd of the test's own, apart from any cluster.
func startContainerd(t *testing.T) Store {
	t.Helper()
	if _, err := exec.LookPath("containerd"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs containerd and root")
	}
	dir, err := os.MkdirTemp("", "ctd") // short: a socket's path may have 107 characters
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	config := filepath.Join(dir, "config.toml")
	text := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n"+
		"[plugins.\"io.containerd.internal.v1.opt\"]\npath = %q\n", dir+"/root", dir+"/state", socket, dir+"/opt")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command("containerd", "--config", config)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	for range 300 {
		if exec.Command("ctr", "--address", socket, "version").Run() == nil {
			return Store{Socket: socket}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("containerd did not answer within 30 s")
	return Store{}
}

func TestLoadImportsOnceAndAgainWhenTheContentChanged(t *testing.T) {
	store := startContainerd(t)
	file := filepath.Join(t.TempDir(), "image.tar")
	for step, want := range []struct {
		program string
		loaded  bool
	}{{"one", true}, {"one", false}, {"two", true}} {
		if err := WriteSingleBinary(file, "localhost/example:1", "program", []byte(want.program)); err != nil {
			t.Fatal(err)
		}
		names, loaded, err := store.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		if loaded != want.loaded || len(names) != 1 || names[0] != "localhost/example:1" {
			t.Errorf("step %d: names %v, loaded %t, want loaded %t", step, names, loaded, want.loaded)
		}
	}
}
