package network

import "sync"

// Data is the bytes that OnRead or OnWrite is called with: those that the filter holds, and those that have come. It is
// empty once the method, or the function that the method gave to [Go], has returned.
type Data struct {
	mu      sync.Mutex
	flow    *Flow
	dir     Direction
	p       []byte // what Go has
	inEnvoy int    // bytes after p that were not copied yet
	fresh   bool   // Envoy waits for the outcome: what passes can stay where it is
	kept    bool   // p began with bytes that were held
	changed bool
	end     bool
	over    bool
}

// Len returns the number of bytes.
func (d *Data) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return 0
	}
	return len(d.p) + d.inEnvoy
}

// Bytes returns the bytes, in Go memory: keep them, do not change them. The first call copies them from Envoy, and is
// for the goroutine that the method runs on: on another it returns nil, and the log has an error.
func (d *Data) Bytes() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return nil
	}
	p := d.load()
	if d.inEnvoy > 0 {
		d.flow.log.Error("misuse: Data.Bytes is called on another goroutine than that of the method; it returns nil")
		return nil
	}
	return p[:len(p):len(p)]
}

// load copies what is yet in Envoy, behind what is held: in the same memory, where there is room, so that a sender of
// single bytes costs no copy of all that is held for each. mu is held.
func (d *Data) load() []byte {
	if d.inEnvoy > 0 {
		p, ok := d.flow.host.Received(d.dir, d.p)
		if !ok {
			return d.p
		}
		d.p, d.inEnvoy = p, 0
	}
	return d.p
}

// End reports whether these are the last bytes of this direction: its sender has closed it, and may still receive. Envoy
// tells of that where a connection may be half closed, as those of tcp_proxy; elsewhere the connection closes at once.
func (d *Data) End() bool { return d.end }

// Set replaces the bytes by p, which is the framework's from then on. It does nothing once the method has returned.
func (d *Data) Set(p []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.over {
		d.p, d.inEnvoy, d.changed = p, 0, true
	}
}

// take ends the handle and returns its bytes, which are in Go from then on.
func (d *Data) take() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	p := d.load()
	d.p = nil
	return p
}

// untouched ends the handle if all of its bytes pass, and Envoy has them as they are.
func (d *Data) untouched(passed int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.fresh || d.changed || d.kept || len(d.p)+d.inEnvoy != passed {
		return false
	}
	d.over = true
	d.p = nil
	return true
}
