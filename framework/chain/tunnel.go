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
