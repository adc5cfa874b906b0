package udp

/*
#include "datagram.h"
*/
import "C"

import (
	"net/netip"
	"unsafe"

	"mosn.io/moe/framework/host/dynmod/internal/dynlog"
	"mosn.io/moe/framework/host/internal/inproc"
	"mosn.io/moe/framework/udp"
)

// moeUDPDatagram has a filter decide about a datagram, and reports whether it goes on.
//
//export moeUDPDatagram
func moeUDPDatagram(d *C.moe_udp_datagram) (pass C.bool) {
	defer inproc.Fence(dynlog.Handler, "framework panic in a UDP filter")
	c := configs.Get(uint32(d.id))
	if c == nil {
		return false
	}
	defer c.metrics.flush(d.envoy)
	if c.filter == nil {
		c.rejected.Add(1)
		return false
	}
	o := c.filter.Arrived(udp.Arrival{
		Remote: address(d.remote, d.remote_port), Local: address(d.local, d.local_port), Data: bytesOf(d),
	})
	for _, s := range o.Sends {
		send(d, s)
	}
	if o.Verdict == udp.Changed {
		C.moe_udp_replace(d, (*C.char)(unsafe.Pointer(unsafe.SliceData(o.Data))), C.size_t(len(o.Data)))
	}
	return o.Verdict != udp.Stop
}

// bytesOf copies what a datagram carries.
func bytesOf(d *C.moe_udp_datagram) []byte {
	chunks := unsafe.Slice(d.chunks, int(d.n))
	length := 0
	for _, b := range chunks {
		length += int(b.length)
	}
	p := make([]byte, 0, length)
	for _, b := range chunks {
		p = append(p, unsafe.Slice((*byte)(unsafe.Pointer(b.ptr)), int(b.length))...)
	}
	return p
}

// address reads an address of Envoy's; it is the zero value where there is none.
func address(ip C.ebuf, port C.uint32_t) netip.AddrPort {
	a, err := netip.ParseAddr(C.GoStringN(ip.ptr, C.int(ip.length)))
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, uint16(port))
}

// send sends a datagram. Envoy does not tell what becomes of it.
func send(d *C.moe_udp_datagram, s udp.Sent) {
	ip := ""
	if s.To.IsValid() {
		ip = s.To.Addr().String()
	}
	C.moe_udp_send(d, (*C.char)(unsafe.Pointer(unsafe.SliceData(s.Data))), C.size_t(len(s.Data)),
		(*C.char)(unsafe.Pointer(unsafe.StringData(ip))), C.size_t(len(ip)), C.uint32_t(s.To.Port()))
}
