package chain

import (
	"slices"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// ownership says when the request headers that only plugins may set are removed from what a client sends.
type ownership struct {
	first []string    // before any plugin runs
	later []ownedLate // when the request has passed authentication
}

// ownedLate is an owned header in which plugins look for credentials.
type ownedLate struct {
	name  string
	spare []bool // by plugin: what it lets pass, it has found here and nowhere else, or it owns the header
}

// ownershipOf divides the names and what the plugins own themselves.
func ownershipOf(plugins []Plugin, s schemes, names []string) (w ownership) {
	names = slices.Clone(names)
	for _, p := range plugins {
		if o, ok := p.Config.(filter.HeaderOwner); ok {
			for _, name := range o.OwnsRequestHeaders() {
				names = append(names, strings.ToLower(name))
			}
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		l := ownedLate{name: name, spare: make([]bool, len(plugins))}
		read := false
		for i, p := range plugins {
			r, ok := p.Config.(filter.CredentialReader)
			if ok && s.kinds != nil && s.kinds[i] == scheme && mentions(r.ReadsCredentials().Headers, name) {
				l.spare[i], read = onePlace(r.ReadsCredentials()), true
			}
			if o, ok := p.Config.(filter.HeaderOwner); ok && mentions(o.OwnsRequestHeaders(), name) {
				l.spare[i] = true
			}
		}
		if read {
			w.later = append(w.later, l)
		} else {
			w.first = append(w.first, name)
		}
	}
	return w
}

// divide leaves to another part of the plugins what that removes.
func (w *ownership) divide(p Part, readLater []string) {
	w.first = slices.DeleteFunc(w.first, func(name string) bool { return mentions(readLater, name) != p.Follows })
}

// onePlace reports whether a plugin looks for credentials in one place alone. One that looks in several has let a request
// pass for what it found in one of them, and has not looked at the others.
func onePlace(p filter.CredentialPlaces) bool {
	return len(p.Headers)+len(p.Queries)+len(p.Cookies) == 1
}

func mentions(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return forged(strings.ToLower(n), name) })
}

// stripOwned removes the owned headers that nobody looks for credentials in, before any plugin sees the request.
func (st *Stream) stripOwned() {
	if names := st.chain.owned.first; len(names) > 0 {
		st.removeRequestHeaders(func(name string) bool {
			return slices.ContainsFunc(names, func(owned string) bool { return forged(name, owned) })
		})
	}
}

// stripUnread removes, once a request has passed authentication, the owned headers that hold a credential nobody has
// looked at: all but the one that let the request pass, or those of every plugin where all have.
func (st *Stream) stripUnread(all bool) {
	late := st.chain.owned.later
	if len(late) == 0 {
		return
	}
	passer := st.passer()
	for i := range late {
		spare := passer >= 0 && late[i].spare[passer]
		if all {
			spare = slices.Contains(late[i].spare, true)
		}
		if !spare {
			st.removeRequestHeaders(func(name string) bool { return forged(name, late[i].name) })
		}
	}
}

// passer returns the plugin that has let the request pass: the first that found a credential, or else the one that takes
// requests without any.
func (st *Stream) passer() int {
	for i, kind := range st.chain.schemes.kinds {
		absent := slices.ContainsFunc(st.tried.absent, func(u unauthenticated) bool { return int(u.plugin) == i })
		if kind == scheme && !absent {
			return i
		}
	}
	return slices.Index(st.chain.schemes.kinds, lastScheme)
}

// RemoveRequestHeader removes a header, also with _ for -, that no plugin and no upstream is to see. It is for
// Options.Watch.
func (st *Stream) RemoveRequestHeader(name string) {
	st.removeRequestHeaders(func(n string) bool { return forged(n, name) })
}

// removeRequestHeaders removes the fields whose names remove reports.
func (st *Stream) removeRequestHeaders(remove func(name string) bool) {
	st.Mu.Lock()
	defer st.Mu.Unlock()
	if st.Remote&(1<<core.RequestHeaders) != 0 && !st.Fetch(st.Gen, core.RequestHeaders) {
		return
	}
	b := &st.H[core.RequestHeaders]
	for i := 0; i < len(b.Fields); {
		if !remove(b.Fields[i].Name) {
			i++
			continue
		}
		b.Own()
		name := b.Fields[i].Name
		b.MarkChanged(name, i)
		copy(b.Fields[i:], b.Fields[i+1:])
		b.Fields[len(b.Fields)-1] = core.Field{}
		b.Fields = b.Fields[:len(b.Fields)-1]
	}
}
