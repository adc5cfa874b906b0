package mosn

import (
	"net"
	"strconv"
	"sync"
	"time"

	"mosn.io/api"
	"mosn.io/moe/framework/filter"
)

// Attributes of Envoy's that filter has no name for.
const (
	attrConnectionID  filter.Attr = "connection.id"
	attrResponseCode  filter.Attr = "response.code"
	attrUpstreamLocal filter.Attr = "upstream.local_address"
)

// info is MOSN's RequestInfo: what a filter has set, or else what Envoy knows.
type info struct {
	st *stream

	mu         sync.Mutex
	frozen     map[filter.Attr]string // what attributes were when the stream ended
	flags      api.ResponseFlag
	code       int
	terminated bool // by TerminateStream; under the stream's mutex
	start      time.Time
	received   time.Duration // of the request
	answered   time.Duration
	finished   time.Duration
	process    time.Duration
	sent, got  uint64
	setSent    bool
	setGot     bool
	protocol   api.ProtocolName
	host       api.HostInfo
	localUp    string
	health     bool
	local      net.Addr
	remote     net.Addr
	rule       api.RouteRule
}

// asked are the attributes that RequestInfo reads, for access logs.
var asked = []filter.Attr{
	filter.AttrRequestSize, filter.AttrResponseSize, filter.AttrResponseFlags, filter.AttrDestinationAddress,
	filter.AttrUpstreamAddress, attrUpstreamLocal, filter.AttrUpstreamFailure, filter.AttrClusterName,
	filter.AttrVirtualHostName, filter.AttrRouteName, filter.AttrServerName, attrConnectionID,
}

// freeze remembers what access logs may ask for once the stream is gone. It is called on the stream's thread.
func (i *info) freeze(st *stream) {
	known := make(map[filter.Attr]string, len(asked))
	for _, a := range asked {
		if v, err := st.s.Attr(a); err == nil {
			known[a] = v
		}
	}
	st.client()
	code := st.s.ResponseHeaders().Status()
	now := time.Since(st.begun)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.frozen = known
	if code != 0 {
		i.code = code
	}
	if i.finished == 0 {
		i.finished = now
	}
}

// attr returns an attribute as text, or "".
func (st *stream) attr(a filter.Attr) string {
	st.info.mu.Lock()
	v, known := st.info.frozen[a]
	frozen := st.info.frozen != nil
	st.info.mu.Unlock()
	if known || frozen {
		return v
	}
	v, err := st.s.Attr(a)
	if err != nil {
		return ""
	}
	return v
}

func (st *stream) number(a filter.Attr) uint64 {
	n, _ := strconv.ParseUint(st.attr(a), 10, 64)
	return n
}

// respond notes that the response has come, with a status.
func (i *info) respond(status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.code = status
	i.answered = time.Since(i.st.begun)
}

func (i *info) hasResponse() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.answered != 0
}

// get returns a field under the mutex.
func get[T any](i *info, field *T) T {
	i.mu.Lock()
	defer i.mu.Unlock()
	return *field
}

// put sets a field under the mutex.
func put[T any](i *info, field *T, v T) {
	i.mu.Lock()
	defer i.mu.Unlock()
	*field = v
}

// StartTime returns when the request's headers arrived.
func (i *info) StartTime() time.Time {
	if t := get(i, &i.start); !t.IsZero() {
		return t
	}
	return i.st.begun
}

// SetStartTime sets the start to now.
func (i *info) SetStartTime() { put(i, &i.start, time.Now()) }

// RequestReceivedDuration returns how long it took until the request went on, or 0 before.
func (i *info) RequestReceivedDuration() time.Duration { return get(i, &i.received) }

// SetRequestReceivedDuration sets when the request went on.
func (i *info) SetRequestReceivedDuration(t time.Time) { put(i, &i.received, t.Sub(i.StartTime())) }

// ResponseReceivedDuration returns how long it took until the response came, or 0 before.
func (i *info) ResponseReceivedDuration() time.Duration { return get(i, &i.answered) }

// SetResponseReceivedDuration sets when the response came.
func (i *info) SetResponseReceivedDuration(t time.Time) { put(i, &i.answered, t.Sub(i.StartTime())) }

// RequestFinishedDuration returns how long the stream took, or 0 while it lasts.
func (i *info) RequestFinishedDuration() time.Duration { return get(i, &i.finished) }

// SetRequestFinishedDuration sets when the stream ended.
func (i *info) SetRequestFinishedDuration(t time.Time) { put(i, &i.finished, t.Sub(i.StartTime())) }

// ProcessTimeDuration returns how long the filters and the proxy took, without the upstream: what was set, or the time
// before the request went on and, at the end, after the response came.
func (i *info) ProcessTimeDuration() time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.process != 0 || i.answered == 0 || i.finished == 0 {
		return max(i.process, i.received)
	}
	return i.received + i.finished - i.answered
}

// SetProcessTimeDuration sets it.
func (i *info) SetProcessTimeDuration(d time.Duration) { put(i, &i.process, d) }

// BytesSent returns the length of the response's body so far.
func (i *info) BytesSent() uint64 {
	if get(i, &i.setSent) {
		return get(i, &i.sent)
	}
	return i.st.number(filter.AttrResponseSize)
}

// SetBytesSent sets it.
func (i *info) SetBytesSent(n uint64) {
	put(i, &i.sent, n)
	put(i, &i.setSent, true)
}

// BytesReceived returns the length of the request's body so far.
func (i *info) BytesReceived() uint64 {
	if get(i, &i.setGot) {
		return get(i, &i.got)
	}
	return i.st.number(filter.AttrRequestSize)
}

// SetBytesReceived sets it.
func (i *info) SetBytesReceived(n uint64) {
	put(i, &i.got, n)
	put(i, &i.setGot, true)
}

// Protocol returns the client's protocol by MOSN's names: Http1, Http2, and Http3, which MOSN does not have.
func (i *info) Protocol() api.ProtocolName {
	if p := get(i, &i.protocol); p != "" {
		return p
	}
	return i.st.client().protocol
}

// SetProtocol sets it.
func (i *info) SetProtocol(p api.ProtocolName) { put(i, &i.protocol, p) }

// ResponseCode returns the status of the response, or 0 before there is one.
func (i *info) ResponseCode() int { return get(i, &i.code) }

// SetResponseCode sets it, for whoever asks; the response keeps its status.
func (i *info) SetResponseCode(code int) { put(i, &i.code, code) }

// Duration returns how long the stream has lasted.
func (i *info) Duration() time.Duration { return time.Since(i.StartTime()) }

// envoyClientGone is Envoy's flag for a client that went away, for which MOSN has another bit.
const envoyClientGone = 0x4000

// shared are the flags that have the same bit in Envoy and MOSN.
const sharedFlags = api.NoHealthyUpstream | api.UpstreamRequestTimeout | api.UpstreamLocalReset | api.UpstreamRemoteReset |
	api.UpstreamConnectionFailure | api.UpstreamConnectionTermination | api.UpstreamOverflow | api.NoRouteFound |
	api.DelayInjected | api.FaultInjected | api.RateLimited

// GetResponseFlag reports whether a filter, or Envoy, has set one of the flags.
func (i *info) GetResponseFlag(flag api.ResponseFlag) bool {
	flags := get(i, &i.flags)
	if flags&flag != 0 {
		return true
	}
	envoys := api.ResponseFlag(i.st.number(filter.AttrResponseFlags))
	flags = envoys & sharedFlags
	if envoys&envoyClientGone != 0 {
		flags |= api.DownStreamTerminate
	}
	return flags&flag != 0
}

// SetResponseFlag sets a flag, for whoever asks RequestInfo.
func (i *info) SetResponseFlag(flag api.ResponseFlag) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.flags |= flag
}

// UpstreamHost returns the host that Envoy has chosen, or nil before.
func (i *info) UpstreamHost() api.HostInfo {
	if h := get(i, &i.host); h != nil {
		return h
	}
	address := i.st.attr(filter.AttrUpstreamAddress)
	if address == "" {
		return nil
	}
	return &host{address, address, &i.st.plugin.shared.health, i.st.unsupported}
}

// OnUpstreamHostSelected sets what UpstreamHost returns. It does not choose: filter.Stream.SetUpstreamHost would.
func (i *info) OnUpstreamHostSelected(h api.HostInfo) { put(i, &i.host, h) }

// UpstreamLocalAddress returns the address from which Envoy has connected, or "".
func (i *info) UpstreamLocalAddress() string {
	if a := get(i, &i.localUp); a != "" {
		return a
	}
	return i.st.attr(attrUpstreamLocal)
}

// SetUpstreamLocalAddress sets it.
func (i *info) SetUpstreamLocalAddress(a string) { put(i, &i.localUp, a) }

// IsHealthCheck reports what SetHealthCheck has set.
func (i *info) IsHealthCheck() bool { return get(i, &i.health) }

// SetHealthCheck sets it.
func (i *info) SetHealthCheck(is bool) { put(i, &i.health, is) }

// DownstreamLocalAddress returns the address to which the client has connected.
func (i *info) DownstreamLocalAddress() net.Addr {
	if a := get(i, &i.local); a != nil {
		return a
	}
	return i.st.conn.LocalAddr()
}

// SetDownstreamLocalAddress sets it.
func (i *info) SetDownstreamLocalAddress(a net.Addr) { put(i, &i.local, a) }

// DownstreamRemoteAddress returns the client's address by Envoy's rules.
func (i *info) DownstreamRemoteAddress() net.Addr {
	if a := get(i, &i.remote); a != nil {
		return a
	}
	return i.st.conn.RemoteAddr()
}

// SetDownstreamRemoteAddress sets it.
func (i *info) SetDownstreamRemoteAddress(a net.Addr) { put(i, &i.remote, a) }

// RouteEntry returns the route's rule.
func (i *info) RouteEntry() api.RouteRule {
	if r := get(i, &i.rule); r != nil {
		return r
	}
	return i.st.ways.RouteRule()
}

// SetRouteEntry sets what RouteEntry returns. It does not route.
func (i *info) SetRouteEntry(r api.RouteRule) { put(i, &i.rule, r) }
