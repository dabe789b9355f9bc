package host

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

var (
	chainLine = regexp.MustCompile(`^:(\S+) `)
	jump      = regexp.MustCompile(`-[jg] (\S+)`)
)

// RemoveRules deletes the packet filter rules and chains made by the kubelet, kube-proxy and the pod network called
// network, and no others.
func RemoveRules(network string) error {
	for _, program := range []string{"iptables", "ip6tables"} {
		saved, err := exec.Command(program + "-save").Output()
		if err != nil {
			continue // no such address family on this machine, so nothing of ours in it
		}
		script := removalScript(string(saved), network)
		if script == "" {
			continue
		}
		restore := exec.Command(program+"-restore", "--noflush", "--wait", "5")
		restore.Stdin = strings.NewReader(script)
		if output, err := restore.CombinedOutput(); err != nil {
			return fmt.Errorf("%s-restore: %w: %s", program, err, bytes.TrimSpace(output))
		}
	}
	return nil
}

// removalScript turns the output of iptables-save into the input of iptables-restore --noflush that removes our part;
// it is empty when there is none.
func removalScript(saved, network string) string {
	var script strings.Builder
	for _, table := range strings.Split(saved, "COMMIT\n") {
		lines := strings.Split(table, "\n")
		start := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "*") })
		if start < 0 {
			continue
		}
		if commands := removalCommands(lines[start+1:], network); len(commands) > 0 {
			fmt.Fprintf(&script, "%s\n%s\nCOMMIT\n", lines[start], strings.Join(commands, "\n"))
		}
	}
	return script.String()
}

func removalCommands(lines []string, network string) []string {
	ours := ourChains(lines, network)
	var references, flushes, deletions []string
	for _, line := range lines {
		if !strings.HasPrefix(line, "-A ") {
			continue
		}
		chain := strings.Fields(line)[1]
		target := jump.FindStringSubmatch(line)
		if !slices.Contains(ours, chain) && target != nil && slices.Contains(ours, target[1]) {
			references = append(references, "-D"+strings.TrimPrefix(line, "-A"))
		}
	}
	for _, chain := range ours {
		flushes = append(flushes, "-F "+chain)
		deletions = append(deletions, "-X "+chain)
	}
	return slices.Concat(references, flushes, deletions)
}

// ourChains lists the chains of one table that are ours. The CNI plugins name theirs by a hash, and say in a comment
// which network they are for; their common chains for host ports go with the last chain of a network.
func ourChains(lines []string, network string) []string {
	var ours, shared []string
	foreign := false
	for _, line := range lines {
		match := chainLine.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		chain := match[1]
		switch {
		case strings.HasPrefix(chain, "KUBE-"):
			ours = append(ours, chain)
		case strings.HasPrefix(chain, "CNI-HOSTPORT-"):
			shared = append(shared, chain)
		case strings.HasPrefix(chain, "CNI-"):
			if mentions(lines, chain, `name: \"`+network+`\"`) {
				ours = append(ours, chain)
			} else {
				foreign = true
			}
		}
	}
	if !foreign {
		ours = append(ours, shared...)
	}
	return ours
}

func mentions(lines []string, chain, text string) bool {
	return slices.ContainsFunc(lines, func(line string) bool {
		return strings.Contains(line, chain) && strings.Contains(line, text)
	})
}
