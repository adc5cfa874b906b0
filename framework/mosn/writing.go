package mosn

import (
	"bytes"
	"context"
	"errors"
	"io"

	"mosn.io/api"
	"mosn.io/moe/framework/network"
	"mosn.io/pkg/buffer"
)

// Write sends bytes to the client, through the filters of what is written. It waits while the client takes none. A buffer
// that says EOF closes the connection, as in MOSN.
func (n *netConn) Write(buffers ...api.IoBuffer) error {
	if n.isClosed() {
		return network.ErrDone
	}
	n.mu.Lock()
	n.writing = buffers
	n.mu.Unlock()
	if n.onWrite(buffers) == api.Stop {
		return nil
	}
	var all []byte
	eof := false
	for _, b := range buffers {
		if !isNil(b) {
			all = append(all, b.Bytes()...)
			eof = eof || b.EOF()
		}
	}
	err := n.send(all)
	if eof {
		return errors.Join(err, n.Close(api.NoFlush, api.LocalClose))
	}
	return err
}

// onWrite calls the filters of what is written, until one stops it.
func (n *netConn) onWrite(buffers []api.IoBuffer) api.FilterStatus {
	for _, f := range n.writeFilters() {
		status := api.Stop
		if !n.call(f.typ, "OnWrite", func() { status = f.OnWrite(buffers) }) || status == api.Stop {
			return api.Stop
		}
	}
	return api.Continue
}

// send sends bytes to the client, past all filters of the list.
func (n *netConn) send(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	var err error
	if lent := n.piped(); lent != nil {
		_, err = lent.client.Write(p)
	} else {
		err = n.c.Inject(network.Write, p)
	}
	if err == nil {
		n.count(network.Write, len(p))
	}
	return err
}

// forward sends the client what the upstream sends. It begins when the last filter has let the connection pass.
func (n *netConn) forward(ctx context.Context, p *peers) {
	select {
	case <-n.reading.open:
	case <-ctx.Done():
		return
	}
	room := make([]byte, chunk)
	for {
		k, err := p.upstream.Read(room)
		if k > 0 && n.pass(room[:k]) != nil {
			return
		}
		if errors.Is(err, io.EOF) {
			_ = p.client.CloseWrite()
		}
		if err != nil {
			return
		}
	}
}

// pass sends the client bytes of the upstream. Filters may keep what they get, so theirs is a copy.
func (n *netConn) pass(p []byte) error {
	n.mu.Lock()
	filtered := len(n.writes) > 0
	n.mu.Unlock()
	if !filtered {
		return n.send(p)
	}
	return n.Write(buffer.NewIoBufferBytes(bytes.Clone(p)))
}
