package script

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/dop251/goja"
)

// maxCalls bounds how deep calls are nested.
const maxCalls = 500

// maxString bounds what the functions make that repeat a string.
const maxString = 16 << 20

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
	return m, m.within(func() error {
		_, err := m.RunProgram(p.program)
		return err
	})
}

// bound replaces a method of strings by itself with a bound of what it makes.
func (m *machine) bound(method string, size func(s string, n float64) float64) {
	prototype := m.Get("String").ToObject(m.Runtime).Get("prototype").ToObject(m.Runtime)
	real, ok := goja.AssertFunction(prototype.Get(method))
	if !ok {
		panic("script: String.prototype." + method + " is no function")
	}
	_ = prototype.Set(method, func(c goja.FunctionCall) goja.Value { // an ordinary object takes it
		n := c.Argument(0).ToFloat()
		if math.IsNaN(n) || size(c.This.String(), n) > maxString {
			panic(m.NewTypeError(method + ": the string is too long"))
		}
		v, err := real(c.This, c.Arguments...)
		if err != nil {
			panic(err)
		}
		return v
	})
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
	timer := time.AfterFunc(m.budget, func() { m.Interrupt(errBudget) })
	defer m.ClearInterrupt()
	defer timer.Stop()
	err := f()
	var interrupted *goja.InterruptedError
	var thrown *goja.Exception
	var deep *goja.StackOverflowError
	switch {
	case errors.As(err, &interrupted):
		return errBudget
	case errors.As(err, &thrown):
		// Where, and the kind of error; its text may quote the message.
		kind := "an exception"
		if o, ok := thrown.Value().(*goja.Object); ok {
			if name := o.Get("name"); name != nil {
				kind = name.String()
			}
		}
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
