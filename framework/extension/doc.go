// Package extension has what every kind of extension shares, whatever part of Envoy it extends: the surroundings of a
// configuration ([Env]), secrets and sizes in configurations, metrics, consumers, what a host can do ([Capability]), the
// optional methods of a configuration ([Provisioner] and the others), and the registry of what is compiled in.
//
// A package for one kind of extension, such as framework/filter, adds the phases of its kind and repeats these names as
// aliases, so that an author imports that package only. What the framework's own packages need beside it is behind one
// door: [Internals].
package extension
