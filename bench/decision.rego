package aasm

default allow := false

allow if {
	rule := data.tools[input.tool]
	rule.allow
	not over_limit(rule)
}

over_limit(rule) if input.args.amount > rule.amount_max
