package accesslog

// Event is why Envoy logs: what it calls the access log type.
type Event uint8

// Events, as in envoy.data.accesslog.v3.AccessLogType.
const (
	NotSet Event = iota
	TCPUpstreamConnected
	TCPPeriodic
	TCPConnectionEnd
	DownstreamStart
	DownstreamPeriodic
	DownstreamEnd // of an HTTP stream: what is logged by default
	UpstreamPoolReady
	UpstreamPeriodic
	UpstreamEnd
	DownstreamTunnelSuccessfullyEstablished
	UDPTunnelUpstreamConnected
	UDPPeriodic
	UDPSessionEnd
)

var eventNames = [...]string{
	"NotSet", "TcpUpstreamConnected", "TcpPeriodic", "TcpConnectionEnd", "DownstreamStart", "DownstreamPeriodic",
	"DownstreamEnd", "UpstreamPoolReady", "UpstreamPeriodic", "UpstreamEnd", "DownstreamTunnelSuccessfullyEstablished",
	"UdpTunnelUpstreamConnected", "UdpPeriodic", "UdpSessionEnd",
}

// String is Envoy's name, as %ACCESS_LOG_TYPE% prints it, or "" for an event that this version does not know.
func (e Event) String() string {
	if int(e) < len(eventNames) {
		return eventNames[e]
	}
	return ""
}
