package dnsgateway

import (
	"errors"

	"github.com/miekg/dns"

	"mosn.io/moe/framework/udp"
)

// query is a message that a client has sent.
type query struct {
	msg    dns.Msg
	header bool // it has a whole header, and does not answer another message
}

const headerSize = 12

// parse reads a message. Its query is good for fail even with an error.
func parse(p []byte) (*query, error) {
	q := &query{}
	err := q.msg.Unpack(p)
	// An answer to a message that is itself an answer may be the beginning of an endless exchange.
	q.header = len(p) >= headerSize && !q.msg.Response
	switch {
	case err != nil:
		return q, err
	case q.msg.Response:
		return q, errors.New("an answer")
	case len(q.msg.Question) != 1 || p[4] != 0 || p[5] != 1:
		return q, errors.New("not one question")
	}
	// Unpack takes a question that ends with its name or its type.
	if _, end, err := dns.UnpackDomainName(p, headerSize); err != nil || len(p) < end+4 {
		return q, errors.New("half a question")
	}
	return q, nil
}

func (q *query) question() dns.Question { return q.msg.Question[0] }

// fail answers without records, or not at all where there is nothing that could be answered.
func (q *query) fail(rcode int) udp.Action {
	if !q.header {
		return udp.Drop
	}
	var m dns.Msg
	m.SetRcode(&q.msg, rcode)
	m.RecursionAvailable = rcode == dns.RcodeNameError
	return q.send(&m)
}

// answer answers with records.
func (q *query) answer(records []dns.RR) udp.Action {
	var m dns.Msg
	m.SetReply(&q.msg)
	m.Authoritative, m.RecursionAvailable, m.Answer = true, true, records
	return q.send(&m)
}

// udpSize is how many bytes an answer has at most where the client takes as many: what fits a packet everywhere.
const udpSize = 1232

// send makes the answer's bytes. What does not fit is left out, and the answer says so: the client asks again over TCP.
func (q *query) send(m *dns.Msg) udp.Action {
	size := dns.MinMsgSize
	if opt := q.msg.IsEdns0(); opt != nil {
		size = max(size, min(int(opt.UDPSize()), udpSize))
		m.SetEdns0(udpSize, opt.Do())
	}
	m.Truncate(size)
	p, err := m.Pack()
	if err != nil || len(p) > size {
		return udp.Drop
	}
	return udp.Reply(p)
}
