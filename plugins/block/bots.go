package block

import (
	_ "embed"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
	"unicode"
)

//go:embed bots.txt
var list string

// kinds is a set of kinds of robots.
type kinds uint16

var kindNames = []string{
	"academic", "advertising", "ai-crawler", "archiver", "browser-automation", "feed-reader", "http-library", "monitoring",
	"scanner", "search-engine", "seo", "social-preview",
}

// kindsOf returns the set of the kinds of some names. Those that are not known are left out.
func kindsOf(names []string) (k kinds) {
	for _, name := range names {
		if name == "all" {
			return 1<<len(kindNames) - 1
		}
		if i := slices.Index(kindNames, name); i >= 0 {
			k |= 1 << i
		}
	}
	return k
}

// bots finds the robots of the list in a user-agent. Nearly all of its patterns stand for a few texts, which a trie
// finds in one pass; the others are tried one by one.
type bots struct {
	first    [256]*node
	patterns []pattern
}

// node is a byte of a text. Nodes that may stand at the same place are siblings.
type node struct {
	c     byte
	kinds kinds // of the text that ends here
	next  *node // the nodes for the byte after it
	other *node // the next sibling
}

type pattern struct {
	*regexp.Regexp
	kinds kinds
	part  string // of each text that matches
}

// known returns the list, compiled.
var known = sync.OnceValue(func() *bots {
	b := &bots{}
	for line := range strings.Lines(list) {
		names, text, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if !ok {
			continue
		}
		k := kindsOf(strings.Split(names, ","))
		re, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			panic(err) // the list comes with this code
		}
		if all, ok := texts(re); ok && !slices.Contains(all, "") {
			for _, plain := range all {
				b.add(plain, k)
			}
			continue
		}
		b.patterns = append(b.patterns, pattern{regexp.MustCompile(text), k, part(re)})
	}
	return b
})

// most is how many texts a regular expression may stand for to be taken for these.
const most = 64

// texts returns all that match a regular expression, if that is not much.
func texts(re *syntax.Regexp) (all []string, ok bool) {
	switch re.Op {
	case syntax.OpLiteral:
		all = []string{""}
		for _, r := range re.Rune {
			n := len(all)
			for i, text := range all[:n] {
				all[i] = text + string(r)
				for other := unicode.SimpleFold(r); re.Flags&syntax.FoldCase != 0 && other != r; other = unicode.SimpleFold(other) {
					all = append(all, text+string(other))
				}
			}
			if len(all) > most {
				return nil, false
			}
		}
		return all, true
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if all = append(all, string(r)); len(all) > most {
					return nil, false
				}
			}
		}
		return all, true
	case syntax.OpCapture:
		return texts(re.Sub[0])
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			more, ok := texts(sub)
			if all = append(all, more...); !ok || len(all) > most {
				return nil, false
			}
		}
		return all, true
	case syntax.OpConcat:
		all = []string{""}
		for _, sub := range re.Sub {
			more, ok := texts(sub)
			if !ok || len(all)*len(more) > most {
				return nil, false
			}
			var longer []string
			for _, a := range all {
				for _, b := range more {
					longer = append(longer, a+b)
				}
			}
			all = longer
		}
		return all, true
	}
	return nil, false
}

// part returns a text that is part of all that match a regular expression, so that most user-agents need not be matched.
func part(re *syntax.Regexp) (longest string) {
	for _, sub := range re.Sub {
		if text := string(sub.Rune); re.Op == syntax.OpConcat && sub.Op == syntax.OpLiteral && sub.Flags&syntax.FoldCase == 0 &&
			len(text) > len(longest) {
			longest = text
		}
	}
	return longest
}

func (b *bots) add(text string, k kinds) {
	at := &b.first[text[0]]
	for i := range len(text) {
		for *at != nil && (*at).c != text[i] {
			at = &(*at).other
		}
		if *at == nil {
			*at = &node{c: text[i]}
		}
		if i == len(text)-1 {
			(*at).kinds |= k
		}
		at = &(*at).next
	}
}

// has reports whether a user-agent names a robot of one of the kinds.
func (b *bots) has(agent string, k kinds) bool {
	for i := range len(agent) {
		n := b.first[agent[i]]
		for j := i; n != nil && j < len(agent); {
			if n.c != agent[j] {
				n = n.other
				continue
			}
			if n.kinds&k != 0 {
				return true
			}
			n, j = n.next, j+1
		}
	}
	for _, p := range b.patterns {
		if p.kinds&k != 0 && strings.Contains(agent, p.part) && p.MatchString(agent) {
			return true
		}
	}
	return false
}
