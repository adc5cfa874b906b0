package conformance

func bodyScenarios() []Scenario { return nil }
