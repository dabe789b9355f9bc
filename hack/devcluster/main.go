// Command devcluster runs a real Kubernetes on one Linux machine, with no container engine but containerd. All
// components are in this one program, which runs itself once per component under the component's name.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if runComponent(filepath.Base(os.Args[0])) {
		return
	}
	if err := newCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
