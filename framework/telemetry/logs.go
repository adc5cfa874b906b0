package telemetry

import (
	"log/slog"
	"sync/atomic"

	"mosn.io/moe/framework/internal/logs"
)

// sending is whether lines of the log are exported.
var sending atomic.Bool

// ExportLogs has all lines that hosts and plugins log go to h, too, with the span that they belong to in their context; nil
// ends that. Levels are those of the host's log and of the plugins. h must not wait, and must not log itself.
func ExportLogs(h slog.Handler) {
	sending.Store(h != nil)
	logs.SendTo(h)
}
