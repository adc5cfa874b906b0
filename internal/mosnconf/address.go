package mosnconf

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
)

// listenAddress converts where a listener listens: HOST:PORT, or a path with the network "unix".
func (c *converter) listenAddress(path string, l *listener) obj {
	switch strings.ToLower(l.Network) {
	case "", "tcp":
		host, port := c.hostPort(path+".address", l.Address)
		return socket(host, port)
	case "unix":
		return pipe(l.Address)
	}
	c.fail(path+".network", "%q is not supported; tcp and unix are", l.Network)
	return nil
}

// hostAddress converts a cluster's host: HOST:PORT, or unix:PATH. name reports that HOST is a name, to be looked up.
func (c *converter) hostAddress(path, text string) (address obj, name bool) {
	if file, is := strings.CutPrefix(text, "unix:"); is && file != "" {
		return pipe(file), false
	}
	host, port := c.hostPort(path, text)
	_, err := netip.ParseAddr(host)
	return socket(host, port), err != nil
}

// hostPort splits HOST:PORT. Without HOST it is any address of this machine.
func (c *converter) hostPort(path, text string) (host string, port int) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		c.fail(path, "%q is not HOST:PORT", text)
		return "", 0
	}
	port, err := strconv.Atoi(text[i+1:])
	if err != nil || port < 0 || port > 65535 {
		c.fail(path, "%q is not HOST:PORT", text)
	}
	return strings.Trim(cmp.Or(text[:i], "0.0.0.0"), "[]"), port
}

func socket(host string, port int) obj {
	return obj{"socket_address": obj{"address": host, "port_value": port}}
}

func pipe(path string) obj { return obj{"pipe": obj{"path": path}} }
