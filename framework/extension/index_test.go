package extension

import (
	"fmt"
	"strings"
	"testing"
)

type apiKey struct {
	Key string `json:"key"`
}

func keysOf(k *apiKey) []string { return []string{k.Key} }

func consumer(name, key string) *Consumer {
	return &Consumer{Name: name, Credentials: map[string]map[string]any{"keys": {"key": key}}}
}

func indexed(t *testing.T, list ...*Consumer) (*Env, *ConsumerSet, *Index[apiKey]) {
	t.Helper()
	set, err := door.NewConsumerSet(list)
	if err != nil {
		t.Fatalf("NewConsumerSet: %v", err)
	}
	env, closeEnv := door.NewEnv(EnvConfig{Host: &host{}, ID: "a", Plugin: "keys", Consumers: set})
	t.Cleanup(closeEnv)
	index, err := IndexConsumers(env, keysOf)
	if err != nil {
		t.Fatalf("IndexConsumers: %v", err)
	}
	return env, set, index
}

func TestIndexFollowsConsumers(t *testing.T) {
	ann, bob := consumer("ann", "k1"), consumer("bob", "k2")
	env, set, index := indexed(t, ann)
	if c, cred := index.Find("k1"); c != ann || cred == nil || cred.Key != "k1" {
		t.Errorf("k1 belongs to %v with %v, want ann", c, cred)
	}
	if err := set.Replace([]*Consumer{bob}); err != nil {
		t.Fatalf("Replace: %v", err)
	}
	for key, want := range map[string]*Consumer{"k1": nil, "k2": bob, "": nil, strings.Repeat("k", maxKey+1): nil} {
		t.Run(fmt.Sprintf("%.40q", key), func(t *testing.T) {
			if c, _ := index.Find(key); c != want {
				t.Errorf("the key %.4q belongs to %v, want %v", key, c, want)
			}
		})
	}
	if got := env.Consumer("bob"); got != bob {
		t.Errorf("the consumer bob is %v", got)
	}
	n := 0
	for c := range index.All() {
		n++
		if c != bob {
			t.Errorf("All has %v", c.Name)
		}
	}
	if n != 1 {
		t.Errorf("All has %d consumers, want 1", n)
	}
}

// A set that one follower refuses changes nothing.
func TestIndexRefuses(t *testing.T) {
	ann := consumer("ann", "k1")
	for name, c := range map[string]struct {
		list []*Consumer
		want string
	}{
		"one key twice":    {[]*Consumer{consumer("bob", "k"), consumer("eve", "k")}, "the same credential"},
		"an empty key":     {[]*Consumer{consumer("bob", "")}, "consumer bob has an empty credential"},
		"a long key":       {[]*Consumer{consumer("bob", strings.Repeat("k", maxKey+1))}, "more than 4096 bytes"},
		"a name twice":     {[]*Consumer{consumer("bob", "k"), consumer("bob", "l")}, `duplicate consumer name "bob"`},
		"an unknown field": {[]*Consumer{{Name: "bob", Credentials: map[string]map[string]any{"keys": {"x": "y"}}}}, "credentials.keys"},
	} {
		t.Run(name, func(t *testing.T) {
			_, set, index := indexed(t, ann)
			if err := set.Replace(c.list); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
			if got, _ := index.Find("k1"); got != ann || set.Find("ann") != ann {
				t.Errorf("after a set that was refused, k1 belongs to %v, want ann", got)
			}
		})
	}
}

// A mistake in the credentials must refuse the configuration, so an index is made in Provision.
func TestIndexInProvision(t *testing.T) {
	env, _, _ := indexed(t)
	door.Seal(env)
	if _, err := IndexConsumers(env, keysOf); err == nil || !strings.Contains(err.Error(), "in Provision") {
		t.Errorf("got error %v, want one that says in Provision", err)
	}
}
