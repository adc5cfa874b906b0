// Package bodyscan refuses request bodies that contain a word, while they stream.
//
// It shows state per stream: RegisterPerStream calls newStream for each stream, and the phases are those of what it
// returns. OnRequestBody sees each chunk once, so a word that is cut in two by a chunk boundary needs memory of what
// came before; a few bytes are enough, and a body of any size passes without being held.
//
// Because it streams, the upstream may have got the beginning of a body by the time that the word is found: then the
// client gets 403 and the upstream's request is reset. A plugin that must keep all of it from the upstream waits for
// the body (see jsonrewrite). It looks at the bytes as they are sent: a compressed body passes.
package bodyscan

import (
	"bytes"
	"errors"

	"mosn.io/moe/framework/filter"
)

// BodyScan looks for words, also across chunks.
type BodyScan struct {
	// Words that no body may contain. Case matters.
	Words []string `json:"words" validate:"required" merge:"append"`

	words   [][]byte
	longest int
}

func init() { filter.RegisterPerStream("bodyscan", filter.Authz, (*BodyScan).newStream) }

// Validate refuses a word that is in every body.
func (p *BodyScan) Validate() error {
	for _, w := range p.Words {
		if w == "" {
			return errors.New("words: a word must not be empty")
		}
	}
	return nil
}

// Provision prepares the words.
func (p *BodyScan) Provision(*filter.Env) error {
	for _, w := range p.Words {
		p.words = append(p.words, []byte(w))
		p.longest = max(p.longest, len(w))
	}
	return nil
}

func (p *BodyScan) newStream(filter.Stream) *scan { return &scan{BodyScan: p} }

// scan is one stream's state.
type scan struct {
	*BodyScan
	tail []byte // the last bytes seen, in which a word may have begun
}

var forbidden = filter.Reply(403, "forbidden content\n")

// OnRequestBody looks at the seam between the last chunk and this one, then at this one.
func (s *scan) OnRequestBody(_ filter.Stream, b filter.Body, _ bool) filter.Action {
	chunk, overlap := b.Bytes(), s.longest-1
	s.tail = append(s.tail, chunk[:min(len(chunk), overlap)]...)
	if s.found(s.tail) || s.found(chunk) {
		return forbidden
	}
	if len(chunk) >= overlap {
		s.tail = append(s.tail[:0], chunk[len(chunk)-overlap:]...)
	} else {
		s.tail = append(s.tail[:0], s.tail[max(0, len(s.tail)-overlap):]...)
	}
	return filter.Continue
}

func (s *scan) found(data []byte) bool {
	for _, w := range s.words {
		if bytes.Contains(data, w) {
			return true
		}
	}
	return false
}
