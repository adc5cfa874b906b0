// Package ldaptest has LDAP directories for tests: a real one, and one that fails as a test wants.
package ldaptest

import (
	"net"
	"slices"
	"strings"
	"sync"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// Responder answers binds and searches (RFC 4511) as a test wants. [Slapd] is a real directory.
type Responder struct {
	net.Listener
	// Set changes the others while it runs.
	People []Person
	// Code is what all operations are answered with, unless it is 0.
	Code uint16
	// Mute has it answer nothing.
	Mute bool

	mu       sync.Mutex
	binds    []string // the names of binds
	searches []string // the filters of searches
	conns    map[net.Conn]bool
}

// Person is an entry. It is found by its DN, and by its uid.
type Person struct {
	DN, Password string
	Attributes   map[string][]string
}

// Respond starts a responder at a free port of this machine. Closing it ends its connections.
func Respond(people ...Person) (*Responder, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Responder{Listener: ln, People: people, conns: map[net.Conn]bool{}}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[c] = true
			s.mu.Unlock()
			go s.talk(c)
		}
	}()
	return s, nil
}

// Close is that of net.Listener.
func (s *Responder) Close() error {
	err := s.Listener.Close()
	s.Drop()
	return err
}

// Drop ends all connections and returns how many there were.
func (s *Responder) Drop() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.conns)
	for c := range s.conns {
		c.Close()
	}
	clear(s.conns)
	return n
}

// Set calls change while nothing is answered.
func (s *Responder) Set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// Binds returns the names of all binds.
func (s *Responder) Binds() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.binds)
}

// Searches returns the filters of all searches.
func (s *Responder) Searches() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.searches)
}

func (s *Responder) talk(c net.Conn) {
	for {
		p, err := ber.ReadPacket(c)
		if err != nil {
			return
		}
		id, op := p.Children[0].Value.(int64), p.Children[1]
		for _, answer := range s.answer(op) {
			m := ber.NewSequence("")
			m.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
			m.AppendChild(answer)
			if _, err := c.Write(m.Bytes()); err != nil {
				return
			}
		}
	}
}

func (s *Responder) answer(op *ber.Packet) (answers []*ber.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	result := func(tag ber.Tag, code uint16) *ber.Packet {
		r := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
		r.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(code), ""))
		r.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
		r.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "the secret text", ""))
		return r
	}
	if s.Mute {
		return nil
	}
	switch op.Tag {
	case ldap.ApplicationBindRequest:
		dn, password := op.Children[1].Value.(string), op.Children[2].Data.String()
		s.binds = append(s.binds, dn)
		code := s.Code
		if code == 0 {
			code = ldap.LDAPResultInvalidCredentials
			for _, p := range s.People {
				if strings.EqualFold(p.DN, dn) && p.Password == password {
					code = 0
				}
			}
		}
		return []*ber.Packet{result(ldap.ApplicationBindResponse, code)}
	case ldap.ApplicationSearchRequest:
		base := op.Children[0].Value.(string)
		filter, err := ldap.DecompileFilter(op.Children[6])
		if err != nil {
			return []*ber.Packet{result(ldap.ApplicationSearchResultDone, ldap.LDAPResultProtocolError)}
		}
		s.searches = append(s.searches, filter)
		if s.Code == 0 {
			for _, p := range s.People {
				if p.found(base, op.Children[1].Value.(int64), filter) {
					answers = append(answers, p.entry())
				}
			}
		}
		return append(answers, result(ldap.ApplicationSearchResultDone, s.Code))
	}
	return nil
}

// found reports whether a search finds the entry: one of its own, or one by uid=… below the base.
func (p Person) found(base string, scope int64, filter string) bool {
	if scope == ldap.ScopeBaseObject {
		return strings.EqualFold(base, p.DN)
	}
	for _, uid := range p.Attributes["uid"] {
		if strings.EqualFold(filter, "(uid="+ldap.EscapeFilter(uid)+")") {
			return strings.HasSuffix(p.DN, base)
		}
	}
	return false
}

func (p Person) entry() *ber.Packet {
	text := func(v string) *ber.Packet {
		return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, v, "")
	}
	e := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	e.AppendChild(text(p.DN))
	list := ber.NewSequence("")
	for name, values := range p.Attributes {
		a := ber.NewSequence("")
		a.AppendChild(text(name))
		set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for _, v := range values {
			set.AppendChild(text(v))
		}
		a.AppendChild(set)
		list.AppendChild(a)
	}
	e.AppendChild(list)
	return e
}
