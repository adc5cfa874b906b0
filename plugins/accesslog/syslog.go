package accesslog

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// syslogOutput sends each line as a message of RFC 5424: over TLS or TCP with its length before it (RFC 5425, RFC 6587
// §3.4.1), over UDP and Unix sockets as a datagram (RFC 5426).
type syslogOutput struct {
	network, address string
	tls              *tls.Config
	timeout          time.Duration
	host             string
	conn             net.Conn // nil: to be dialled
	scratch          []byte   // of messages
}

const (
	priority    = 16*8 + 6 // local0.info
	maxDatagram = 65000    // what fits into one UDP packet, with room for its headers
)

var errDatagram = errors.New("a line is longer than a datagram; use syslog+tcp or syslog+tls")

func openSyslog(u *url.URL, s *Server) (remote, error) {
	_, transport, _ := strings.Cut(u.Scheme, "+")
	o := &syslogOutput{network: transport, address: u.Host, timeout: s.Timeout, host: "-"}
	switch transport {
	case "unix":
		o.network, o.address = "unixgram", u.Path
	case "tls":
		config, err := s.TLS()
		if err != nil {
			return nil, err
		}
		o.network, o.tls = "tcp", config
		o.tls.ServerName = u.Hostname()
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		o.host = strings.Map(func(r rune) rune {
			if r <= ' ' || r > '~' {
				return -1
			}
			return r
		}, name)
	}
	return o, nil
}

// Close closes the connection.
func (o *syslogOutput) Close() error {
	if o.conn == nil {
		return nil
	}
	return o.conn.Close()
}

// abort does nothing: each message has a time limit of its own, and the first that fails ends a send.
func (*syslogOutput) abort() {}

// send sends lines, each as a message. A connection that broke is dialled again once; a line that is too long for a
// datagram is lost alone.
func (o *syslogOutput) send(lines []byte, lost func(line int)) (failed error) {
	dialled, down := false, false
	at := 0
	for line := range bytes.Lines(lines) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		for sent := false; !sent && !down; {
			err := o.message(line, &dialled)
			switch {
			case err == nil:
				sent = true
			case errors.Is(err, errDatagram):
				failed = err
				lost(at)
				sent = true
			case o.conn == nil && dialled:
				failed, down = err, true
			}
		}
		if down {
			lost(at)
		}
		at++
	}
	return failed
}

// message sends one line, over a new connection where there is none. An error other than errDatagram has ended the
// connection.
func (o *syslogOutput) message(line []byte, dialled *bool) error {
	if o.conn == nil {
		*dialled = true
		if err := o.dial(); err != nil {
			return err
		}
	}
	err := o.write(line)
	if err != nil && !errors.Is(err, errDatagram) {
		_ = o.conn.Close()
		o.conn = nil
	}
	return err
}

func (o *syslogOutput) dial() (err error) {
	d := &net.Dialer{Timeout: o.timeout}
	if o.tls != nil {
		o.conn, err = tls.DialWithDialer(d, o.network, o.address, o.tls)
		if err != nil {
			o.conn = nil // not an interface around nil
		}
		return err
	}
	o.conn, err = d.Dial(o.network, o.address)
	return err
}

// write writes the message of one line, which begins with its time.
func (o *syslogOutput) write(line []byte) error {
	m := fmt.Appendf(o.scratch[:0], "<%d>1 %s %s moe %d access - ", priority, timeOf(line), o.host, os.Getpid())
	m = append(m, line...)
	o.scratch = m
	if o.network != "tcp" {
		if len(m) > maxDatagram {
			return errDatagram
		}
	} else {
		m = append(append(strconv.AppendInt(nil, int64(len(m)), 10), ' '), m...)
	}
	if err := o.conn.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
		return err
	}
	_, err := o.conn.Write(m)
	if errors.Is(err, syscall.EMSGSIZE) {
		return errDatagram
	}
	return err
}

// timeOf returns the text of a line's time, or the nil value of RFC 5424.
func timeOf(line []byte) string {
	rest, ok := bytes.CutPrefix(line, []byte(`{"time":"`))
	if !ok {
		return "-"
	}
	text, _, ok := bytes.Cut(rest, []byte{'"'})
	if !ok {
		return "-"
	}
	return string(text)
}
