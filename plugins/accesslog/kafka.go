package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

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
	ctx    context.Context // ended by abort and Close
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
	case s.Timeout < time.Second:
		return errors.New("server.timeout: must be 1s at least for Kafka")
	case s.SASL != nil && s.SASL.Mechanism == "plain" && u.Scheme == "kafka" && !s.AllowHTTP:
		return errors.New("server.sasl.mechanism: plain sends the password in clear without kafka+tls")
	}
	return nil
}

func openKafka(u *url.URL, s *Server) (remote, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(brokersOf(u)...), kgo.DefaultProduceTopic(topicOf(u)), kgo.ClientID("moe"),
		kgo.RecordDeliveryTimeout(s.Timeout), kgo.ProduceRequestTimeout(s.Timeout), kgo.DialTimeout(s.Timeout),
		kgo.AllowIdempotentProduceCancellation(), // or else a broker that is gone after a request keeps a record for ever
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

// Close gives up what is under way.
func (o *kafkaOutput) Close() error {
	o.cancel()
	o.client.Close()
	return nil
}

func (o *kafkaOutput) abort() { o.cancel() }

// send sends lines, and waits until brokers have them, or for twice the time of a delivery.
func (o *kafkaOutput) send(lines []byte, lost func(line int)) (failed error) {
	var records []*kgo.Record
	number := map[*kgo.Record]int{}
	for line := range bytes.Lines(lines) {
		r := &kgo.Record{Value: bytes.TrimSuffix(line, []byte{'\n'})}
		number[r] = len(records)
		records = append(records, r)
	}
	ctx, cancel := context.WithTimeout(o.ctx, 2*o.server.Timeout)
	defer cancel()
	for _, r := range o.client.ProduceSync(ctx, records...) {
		if r.Err != nil {
			failed = r.Err
			lost(number[r.Record])
		}
	}
	return failed
}
