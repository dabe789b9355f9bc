// Package host reads and changes the machine the cluster runs on, and undoes the changes: packet filter rules,
// network interfaces, mounts, control groups, kernel settings.
package host

import (
	"errors"
	"net"
)

// Address returns the IPv4 address by which pods reach this machine: that of the default route, else the first of any
// interface that is up, not loopback, and not named skip.
func Address(skip string) (net.IP, error) {
	// Connecting a UDP socket sends nothing: it only makes the kernel choose a route.
	if connection, err := net.Dial("udp4", "192.0.2.1:9"); err == nil {
		defer connection.Close()
		if address, ok := connection.LocalAddr().(*net.UDPAddr); ok && !address.IP.IsLoopback() {
			return address.IP.To4(), nil
		}
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, candidate := range interfaces {
		if candidate.Flags&net.FlagUp == 0 || candidate.Flags&net.FlagLoopback != 0 || candidate.Name == skip {
			continue
		}
		addresses, err := candidate.Addrs()
		if err != nil {
			return nil, err
		}
		for _, address := range addresses {
			if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil {
				return network.IP.To4(), nil
			}
		}
	}
	return nil, errors.New("this machine has no IPv4 address but loopback; a node needs one (ip address show)")
}
