//! The calls of an episode for its transcript: prompt, answer, tokens, time and cost, round by round.
use crate::page::call::{Call, Details, Prompts, read};
use crate::page::visible::visible;
use minijinja::{Value as Shown, context};

/// The calls of each round as the template takes them; those of rounds that are not shown come with the last one.
pub(super) fn by_round(calls: &[Call<'_>], rounds: usize) -> Vec<Vec<Shown>> {
    let mut found = vec![Vec::new(); rounds];
    let mut prompts = Prompts::default();
    for call in calls {
        let details = read(call).unwrap_or_default();
        let earlier = prompts.in_common(call.player, &details.prompt);
        let place = (call.round as usize).min(rounds.saturating_sub(1));
        if let Some(round) = found.get_mut(place) {
            round.push(shown(call, &details, earlier));
        }
        prompts.keep(call.player, details.prompt);
    }
    found
}

fn shown(call: &Call<'_>, details: &Details, earlier: usize) -> Shown {
    let text = |text: &str| Shown::from(&*visible(text));
    let maybe = |found: Option<&str>| found.map(text);
    let pair = |name: &str, value: &str| context! { name => text(name), value => text(value) };
    let prompt: Vec<Shown> = details.prompt[earlier..].iter().map(|(role, said)| pair(role, said)).collect();
    let facts: Vec<Shown> = details.facts.iter().map(|(name, value)| pair(name, value)).collect();
    let arguments: Vec<Shown> = details.arguments.iter().map(|(name, value)| pair(name, value)).collect();
    context! {
        number => call.number,
        player => text(call.player),
        origin => details.origin,
        earlier => earlier,
        prompt => prompt,
        is_answered => call.text.is_some(), // an empty answer is shown, too
        response => maybe(call.text),
        thinking => maybe(details.thinking.as_deref()),
        error => maybe(details.error.as_deref()),
        facts => facts,
        arguments => arguments,
    }
}
