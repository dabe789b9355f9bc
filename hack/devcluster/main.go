// Command devcluster runs a real Kubernetes on one Linux machine, with no container engine but containerd. All
// components are in this one program, which runs itself once per component under the component's name.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"google.golang.org/grpc/grpclog"
)

func main() {
	if runComponent(filepath.Base(os.Args[0])) {
		return
	}
	// A runtime that does not answer is ours to report, in our words.
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	if err := newCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
