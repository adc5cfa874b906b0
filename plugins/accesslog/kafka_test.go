package accesslog

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"mosn.io/moe/framework/filter"
)

// Lines are records of a topic, in order, with each way to log in.
func TestKafkaOutput(t *testing.T) {
	for _, c := range []struct {
		name   string
		broker []kfake.Opt
		server string
	}{
		{name: "no login"},
		{
			name: "scram-sha-256", broker: []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "tom", "geheim")},
			server: "server: {sasl: {mechanism: scram-sha-256, user: tom, password: geheim}}",
		},
		{
			name: "plain", broker: []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "tom", "geheim")},
			server: "server: {allowHTTP: true, sasl: {mechanism: plain, user: tom, password: geheim}}",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster, err := kfake.NewCluster(append(c.broker, kfake.NumBrokers(2), kfake.SeedTopics(1, "access"))...)
			if err != nil {
				t.Fatalf("kfake.NewCluster: %v", err)
			}
			defer cluster.Close()
			brokers := cluster.ListenAddrs()
			entries(t, "output: kafka://"+brokers[0]+"/access?brokers="+brokers[1]+"\n"+c.server, 3)

			options := []kgo.Opt{kgo.SeedBrokers(brokers...), kgo.ConsumeTopics("access")}
			if c.server != "" {
				mechanism := &SASL{Mechanism: c.name, User: "tom", Password: filter.NewSecret("geheim")}
				options = append(options, kgo.SASL(mechanism.mechanism()))
			}
			consumer, err := kgo.NewClient(options...)
			if err != nil {
				t.Fatalf("kgo.NewClient: %v", err)
			}
			defer consumer.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			var lines strings.Builder
			for n := 0; n < 3 && ctx.Err() == nil; {
				for _, r := range consumer.PollFetches(ctx).Records() {
					lines.Write(append(r.Value, '\n'))
					n++
				}
			}
			if diff := cmp.Diff([]string{"/0?q=1", "/1?q=1", "/2?q=1"}, pathsOf(t, lines.String())); diff != "" {
				t.Errorf("the paths (-want +got):\n%s", diff)
			}
		})
	}
}
