package script

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/dop251/goja"

	"mosn.io/moe/plugins/internal/guard"
)

// maxCalls bounds how deep calls are nested.
const maxCalls = 500

// maxString bounds what the functions make that repeat a string.
const maxString = 16 << 20

// maxNested bounds how deep the JSON is nested that is parsed: goja goes down by calling itself, and a stack of Go that is too long
// ends the process.
const maxNested = 500

// maxList bounds the length of what is like an array, which functions read from its first element to its last and hear of no
// interrupt meanwhile. A client can have written the length, in JSON.
const maxList = 1 << 20

// maxBudget bounds the budget.
const maxBudget = time.Second

// Expressions with references back or a look around are matched by trying, which can take for ever and hears of no
// interrupt. They end with the longest budget: the script has been interrupted by then, so that it never sees the
// answer.
func init() { regexp2.DefaultMatchTimeout = maxBudget }

var errBudget = errors.New("it takes longer than the budget")

// machine runs the script for one stream: what it keeps in variables, no other stream sees.
type machine struct {
	*goja.Runtime
	budget time.Duration
}

func (p *Script) newMachine() (*machine, error) {
	m := &machine{goja.New(), p.Budget}
	m.SetMaxCallStackSize(maxCalls)
	// Memory that one call takes is not bounded by the budget.
	for _, name := range []string{
		"ArrayBuffer", "DataView", "Uint8Array", "Uint8ClampedArray", "Int8Array", "Uint16Array", "Int16Array", "Uint32Array",
		"Int32Array", "Float32Array", "Float64Array", "BigInt64Array", "BigUint64Array",
	} {
		if err := m.GlobalObject().Delete(name); err != nil {
			return nil, err
		}
	}
	m.bound("repeat", func(s string, n float64) float64 { return float64(len(s)) * n })
	m.bound("padStart", func(_ string, n float64) float64 { return n })
	m.bound("padEnd", func(_ string, n float64) float64 { return n })
	m.boundJSON()
	m.boundList("from", 0, "Array")
	m.boundList("apply", 1, "Function", "prototype")
	m.boundList("apply", 2, "Reflect")
	m.boundList("construct", 1, "Reflect")
	return m, m.within(func() error {
		_, err := m.RunProgram(p.program)
		return err
	})
}

// replace replaces a method of the object at a path by one that first calls check, with what the method is called with.
func (m *machine) replace(method string, check func(c *goja.FunctionCall), path ...string) {
	o := m.GlobalObject()
	for _, name := range path {
		o = o.Get(name).ToObject(m.Runtime)
	}
	real, ok := goja.AssertFunction(o.Get(method))
	if !ok {
		panic("script: " + strings.Join(path, ".") + "." + method + " is no function")
	}
	_ = o.Set(method, func(c goja.FunctionCall) goja.Value { // an ordinary object takes it
		check(&c)
		v, err := real(c.This, c.Arguments...)
		if err != nil {
			panic(err)
		}
		return v
	})
}

// bound bounds what a method of strings makes.
func (m *machine) bound(method string, size func(s string, n float64) float64) {
	m.replace(method, func(c *goja.FunctionCall) {
		n := c.Argument(0).ToFloat()
		if math.IsNaN(n) || size(c.This.String(), n) > maxString {
			panic(m.NewTypeError(method + ": the string is too long"))
		}
	}, "String", "prototype")
}

// boundJSON bounds how deep the JSON is nested that JSON.parse takes.
func (m *machine) boundJSON() {
	m.replace("parse", func(c *goja.FunctionCall) {
		text := c.Argument(0).ToString()
		if nested(text.String()) > maxNested {
			panic(m.NewTypeError("parse: the JSON is nested too deeply"))
		}
		if len(c.Arguments) > 0 {
			c.Arguments[0] = text // what has been looked at
		}
	}, "JSON")
}

// nested returns how deep JSON is nested.
func nested(text string) (deepest int) {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
			if c == '\\' {
				i++
			}
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return deepest
}

// boundList bounds the length of a method's argument that is like an array.
func (m *machine) boundList(method string, argument int, path ...string) {
	m.replace(method, func(c *goja.FunctionCall) {
		o, ok := c.Argument(argument).(*goja.Object)
		if !ok {
			return
		}
		if length := o.Get("length"); length != nil && length.ToFloat() > maxList {
			panic(m.NewTypeError(method + ": the list is too long"))
		}
	}, path...)
}

// kindOf returns what kind of error was thrown, as far as it has a name that can be read: that may be a function of the script, too.
func kindOf(thrown *goja.Exception) string {
	kind := "an exception"
	_ = guard.Do(func() error {
		if o, ok := thrown.Value().(*goja.Object); ok {
			if name := o.Get("name"); name != nil {
				kind = name.String()
			}
		}
		return nil
	})
	return kind
}

// function returns a function of the script, or nil.
func (m *machine) function(name string) goja.Callable {
	f, ok := goja.AssertFunction(m.Get(name))
	if !ok {
		return nil
	}
	return f
}

// within runs f for as long as the budget allows.
func (m *machine) within(f func() error) error {
	over := make(chan struct{})
	timer := time.AfterFunc(m.budget, func() {
		m.Interrupt(errBudget)
		close(over)
	})
	defer func() {
		if !timer.Stop() {
			<-over // or the interrupt would come to the next call
		}
		m.ClearInterrupt()
	}()
	err := f()
	var interrupted *goja.InterruptedError
	var thrown *goja.Exception
	var deep *goja.StackOverflowError
	switch {
	case errors.As(err, &interrupted):
		return errBudget
	case errors.As(err, &thrown):
		// Where, and the kind of error; its text may quote the message.
		kind := kindOf(thrown)
		at := ""
		for _, f := range thrown.Stack() {
			if p := f.Position(); p.Line > 0 {
				at = fmt.Sprintf(" at line %d, column %d", p.Line, p.Column)
				break
			}
		}
		return fmt.Errorf("%.40s%s", strings.ToValidUTF8(kind, "?"), at)
	case errors.As(err, &deep):
		return errors.New("the calls are nested too deeply")
	}
	return err
}
