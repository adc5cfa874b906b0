package plugin

import "mosn.io/moe/framework/filter"

func start(env *filter.Env) {
	go func() {}()
	go start(env) //moe:goroutine start recovers
	//moe:goroutine so does this
	go func() { defer func() { _ = recover() }() }()
}
