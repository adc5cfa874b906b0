package probes

import (
	"reflect"
	"slices"
	"testing"

	"mosn.io/moe/framework/filter"
)

func TestMethodsAreAll(t *testing.T) {
	var want []string
	for i := range reflect.TypeFor[filter.Stream]().NumMethod() {
		want = append(want, reflect.TypeFor[filter.Stream]().Method(i).Name)
	}
	slices.Sort(want)
	if got := Methods(); !slices.Equal(got, want) {
		t.Errorf("the table calls the methods\n%q, filter.Stream has\n%q", got, want)
	}
}
