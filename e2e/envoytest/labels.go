package envoytest

import (
	"fmt"
	"strings"
)

// Labels turns tags as hosts write them into a metric's name, such as "a=1;b=2", into labels of Prometheus.
func Labels(tags string) string {
	var all []string
	for t := range strings.SplitSeq(tags, ";") {
		if k, v, ok := strings.Cut(t, "="); ok {
			all = append(all, fmt.Sprintf("%s=%q", k, v))
		}
	}
	return strings.Join(all, ",")
}
