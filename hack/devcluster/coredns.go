package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

// runCoreDNS serves the Corefile named by its only argument until SIGTERM or SIGINT, and returns the exit status.
// CoreDNS is put together here from the few plugins a cluster needs: all of them would double the build.
func runCoreDNS(arguments []string) int {
	if len(arguments) != 1 {
		fmt.Fprintln(os.Stderr, "usage: coredns COREFILE")
		return 2
	}
	corefile, err := os.ReadFile(arguments[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "coredns:", err)
		return 1
	}
	caddy.Quiet = true
	caddy.AppName, caddy.AppVersion = "CoreDNS", "embedded"
	dnsserver.Directives = []string{"bind", "ready", "errors", "cache", "kubernetes", "forward"}
	instance, err := caddy.Start(caddy.CaddyfileInput{
		Contents: corefile, Filepath: arguments[0], ServerTypeName: "dns",
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "coredns:", err)
		return 1
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	if err := instance.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "coredns:", err)
		return 1
	}
	return 0
}
