package host

import (
	"fmt"
	"net"
	"strconv"
)

// CheckPortFree reports an error when something listens on the TCP port already.
func CheckPortFree(port int) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("port %d is taken by another program (ss -ltnp 'sport = :%d' names it): %w", port, port, err)
	}
	return listener.Close()
}
