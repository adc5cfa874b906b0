package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	saslplain "github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"mosn.io/moe/framework/filter"
)

// SASL is how a client tells a Kafka broker who it is.
type SASL struct {
	// Mechanism is plain, which sends the password, or scram-sha-256 or scram-sha-512, which prove that it is known.
	Mechanism string `json:"mechanism" enum:"plain,scram-sha-256,scram-sha-512" default:"scram-sha-512"`
	// User is the name.
	User string `json:"user" validate:"required"`
	// Password is the password.
	Password filter.Secret `json:"password" validate:"required"`
}

func (s *SASL) mechanism() sasl.Mechanism {
	switch s.Mechanism {
	case "plain":
		return saslplain.Auth{User: s.User, Pass: s.Password.Reveal()}.AsMechanism()
	case "scram-sha-256":
		return scram.Auth{User: s.User, Pass: s.Password.Reveal()}.AsSha256Mechanism()
	}
	return scram.Auth{User: s.User, Pass: s.Password.Reveal()}.AsSha512Mechanism()
}

// kafkaOutput sends each line as a record without a key.
type kafkaOutput struct {
	client *kgo.Client
	server *Server
	ctx    context.Context // ended by Close
	cancel context.CancelFunc
}

// brokersOf returns where a cluster is first looked for: the address's own host and port, and those of its parameter
// brokers.
func brokersOf(u *url.URL) []string {
	all := []string{u.Host}
	for list := range strings.SplitSeq(u.Query().Get("brokers"), ",") {
		if list = strings.TrimSpace(list); list != "" {
			all = append(all, list)
		}
	}
	return all
}

func topicOf(u *url.URL) string { return strings.TrimPrefix(u.Path, "/") }

// checkKafka says what is wrong with an address of Kafka.
func (s *Server) checkKafka(u *url.URL) error {
	switch topic := topicOf(u); {
	case u.Port() == "" || topic == "" || strings.Contains(topic, "/"):
		return errors.New("output: must be SCHEME://HOST:PORT/TOPIC, and may have ?brokers=HOST:PORT,HOST:PORT")
	case u.User != nil:
		return errors.New("output: must not have a user or password; give them as server.sasl")
	case len(s.Headers) > 0:
		return errors.New("server.headers: they are for http and OTLP")
	case s.SASL != nil && s.SASL.Mechanism == "plain" && u.Scheme == "kafka" && !s.AllowHTTP:
		return errors.New("server.sasl.mechanism: plain sends the password in clear without kafka+tls")
	}
	return nil
}

func openKafka(u *url.URL, s *Server) (destination, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(brokersOf(u)...), kgo.DefaultProduceTopic(topicOf(u)), kgo.ClientID("moe"),
		kgo.RecordDeliveryTimeout(s.Timeout), kgo.ProduceRequestTimeout(s.Timeout), kgo.DialTimeout(s.Timeout),
	}
	if u.Scheme == "kafka+tls" {
		config, err := s.TLS()
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(config))
	}
	if s.SASL != nil {
		options = append(options, kgo.SASL(s.SASL.mechanism()))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("setting up the client of Kafka: %w", err)
	}
	o := &kafkaOutput{client: client, server: s}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	return o, nil
}

// Refresh does nothing.
func (*kafkaOutput) Refresh() error { return nil }

// Close gives up what is under way.
func (o *kafkaOutput) Close() error {
	o.cancel()
	o.client.Close()
	return nil
}

// Write sends whole lines, and waits until brokers have them. What is not known to have arrived counts as not written.
func (o *kafkaOutput) Write(p []byte) (n int, err error) {
	var records []*kgo.Record
	for line := range bytes.Lines(p) {
		records = append(records, &kgo.Record{Value: bytes.TrimSuffix(line, []byte{'\n'})})
	}
	results := o.client.ProduceSync(o.ctx, records...)
	failed := map[*kgo.Record]error{}
	for _, r := range results {
		if r.Err != nil {
			failed[r.Record] = r.Err
		}
	}
	for _, r := range records {
		if err := failed[r]; err != nil {
			return n, err
		}
		n = min(n+len(r.Value)+1, len(p))
	}
	return n, nil
}
