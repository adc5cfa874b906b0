package chain

import "mosn.io/moe/framework/internal/core"

// tunnelBody says what a plugin may do instead.
const tunnelBody = "what follows its headers are a tunnel's bytes, see RequestHeaders.Upgrade"

// isTunnel reports whether what follows the headers of dir, which are here, is no body: the bytes of an upgrade, such as
// a WebSocket, or of CONNECT. They may never end, and the peer sends none before the other side has agreed. So a plugin
// that waits for the body gets an empty one at once. A response is a tunnel's if the upstream has agreed to one.
func (st *Stream) isTunnel(dir core.Direction) bool {
	s := st.handle(0)
	protocol := s.RequestHeaders().Upgrade()
	if protocol == "" || dir == Request {
		return protocol != ""
	}
	status := s.ResponseHeaders().Status()
	return status == 101 || protocol == "connect" && status >= 200 && status < 300
}

// hidesBody reports whether a request asks for an upgrade and declares a body, which no protocol that browsers upgrade to
// has. An upstream that knows nothing of the upgrade would read that body as an ordinary request's, which no plugin has
// seen, as what follows an upgrade is a tunnel's.
func (st *Stream) hidesBody() bool {
	h := st.handle(0).RequestHeaders()
	if h.Upgrade() == "" {
		return false
	}
	if h.Get("transfer-encoding") != "" {
		return true
	}
	length := h.Get("content-length")
	return length != "" && length != "0"
}
