package extension

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
)

// maxKey is how long a key of [IndexConsumers] may be, in bytes. Looking up a longer one costs a comparison of lengths.
const maxKey = 4096

// Index finds consumers by their credentials for one plugin, of type C. It follows the consumers that there are: what
// was added, changed or removed holds for the next call of Find. Its methods may be called from any goroutine.
type Index[C any] struct {
	salt  [sha256.Size]byte
	table atomic.Pointer[map[keySum]owner[C]]
}

// keySum stands for a key. It is salted with random bytes, so that the time which a look at a map takes tells nothing
// about keys, and so that memory holds none as a map's key.
type keySum [16]byte

type owner[C any] struct {
	consumer   *Consumer
	credential *C
}

// IndexConsumers decodes each consumer's credentials for this plugin (by its registered name, whatever its id in the
// chain) as a C and finds it by each of the keys that keys returns: an API key, a user's name, a key's id. Two consumers
// with one key, no key, an empty or too long one, or a credential that does not decode is an error that names the
// consumers and does not quote the credential. So is a call after Provision has returned. keys is called again, from
// another goroutine, when the consumers change. Then an error keeps all of them as they were, and is logged.
func IndexConsumers[C any](env *Env, keys func(*C) []string) (*Index[C], error) {
	if env.isSealed() {
		return nil, errors.New("consumers must be indexed in Provision")
	}
	x := &Index[C]{}
	rand.Read(x.salt[:]) // it never fails
	return x, env.follow(func(list []*Consumer) (func(commit bool), error) {
		table := make(map[keySum]owner[C], len(list))
		for _, c := range list {
			raw, ok := c.Credentials[env.Plugin]
			if !ok {
				continue
			}
			cred := new(C)
			if err := env.decode(raw, cred); err != nil {
				return nil, fmt.Errorf("consumer %s: credentials.%s: %w", c.Name, env.Plugin, err)
			}
			if err := x.add(table, keys(cred), owner[C]{c, cred}); err != nil {
				return nil, fmt.Errorf("%w for %s", err, env.Plugin)
			}
		}
		return func(commit bool) {
			if commit {
				x.table.Store(&table)
			}
		}, nil
	})
}

func (x *Index[C]) add(table map[keySum]owner[C], keys []string, o owner[C]) error {
	if len(keys) == 0 {
		return fmt.Errorf("consumer %s has an empty credential", o.consumer.Name)
	}
	for _, key := range keys {
		switch {
		case key == "":
			return fmt.Errorf("consumer %s has an empty credential", o.consumer.Name)
		case len(key) > maxKey:
			return fmt.Errorf("consumer %s has a credential of more than %d bytes", o.consumer.Name, maxKey)
		}
		sum := x.sum(key)
		if other, ok := table[sum]; ok {
			return fmt.Errorf("consumers %s and %s have the same credential", other.consumer.Name, o.consumer.Name)
		}
		table[sum] = o
	}
	return nil
}

// Find returns the consumer that key belongs to and its credential, both to be read only; nil for an unknown key. It
// takes as long for every key of one length, and allocates nothing for keys of up to 400 bytes.
func (x *Index[C]) Find(key string) (*Consumer, *C) {
	if key == "" || len(key) > maxKey {
		return nil, nil
	}
	o := (*x.table.Load())[x.sum(key)]
	return o.consumer, o.credential
}

// All ranges over the consumers that there are now, once for each of their keys, in no order.
func (x *Index[C]) All() iter.Seq2[*Consumer, *C] {
	table := *x.table.Load()
	return func(yield func(*Consumer, *C) bool) {
		for _, o := range table {
			if !yield(o.consumer, o.credential) {
				return
			}
		}
	}
}

// sum needs no HMAC, as no sum ever leaves the process.
func (x *Index[C]) sum(key string) keySum {
	var text [sha256.Size + 400]byte
	sum := sha256.Sum256(append(append(text[:0], x.salt[:]...), key...))
	return keySum(sum[:len(keySum{})])
}
