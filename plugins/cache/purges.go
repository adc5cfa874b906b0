package cache

import "time"

// purges remembers what was purged lately, so that a response that was under way meanwhile does not bring it back. Each purge
// has a number. The zero purges is that of none.
type purges struct {
	mark   uint64            // the number of the last one
	last   map[string]uint64 // by tag
	forgot uint64            // the last of those that are no longer in last
}

// begun is a moment: what was purged after it has a higher number than mark.
type begun struct {
	mark uint64
	at   time.Time
}

// maxPurges is how many tags are remembered. When there are more all are forgotten, and what is under way then is not stored.
const maxPurges = 4096

func (p *purges) note(tag string) {
	p.mark++
	if p.last == nil || len(p.last) == maxPurges {
		p.last, p.forgot = map[string]uint64{}, p.mark-1
	}
	p.last[tag] = p.mark
}

// since reports whether something with one of the tags may have been purged after a mark.
func (p *purges) since(mark uint64, tags []string) bool {
	if mark < p.forgot {
		return true
	}
	for _, t := range tags {
		if p.last[t] > mark {
			return true
		}
	}
	return false
}
