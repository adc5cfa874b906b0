package filter

// Stage orders plugins in a chain; within one, they run as listed.
type Stage int

// The stages, in order.
const (
	Access    Stage = iota // who may connect at all: addresses, CORS, bot and body checks
	Authn                  // who the caller is; the consumer's own plugins are of later stages
	Authz                  // what the caller may do
	Traffic                // how much: rates, quotas, retries, mirroring
	Transform              // what is sent on
	Observe                // what is noted
)

var stageNames = []string{"access", "authn", "authz", "traffic", "transform", "observe"}

// String returns the stage's name as configurations and docs spell it.
func (s Stage) String() string {
	if s < 0 || int(s) >= len(stageNames) {
		return "unknown"
	}
	return stageNames[s]
}
