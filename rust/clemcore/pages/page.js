// The page of results. Texts become text (`fill`), elements come from the templates of page.html, and data is JSON in
// base64, in files beside the page or within it.
"use strict";
const find = (selector, at = document) => at.querySelector(selector);
const policy = window.trustedTypes
	? trustedTypes.createPolicy("clem", { createScriptURL: ours })
	: { createScriptURL: ours };
const main = find("#main");
let S, id; // what the page begins with; names in addresses
let state = new URLSearchParams();
let turn = 0; // of the newest rendering; others are dropped
function ours(address) {
	if (!/^data\/(\d+\/)?[a-z]+\d+\.js(\?\d+)?$/.test(address)) throw new TypeError("not a file of this page");
	return address;
}
// ---- text
const HIDDEN =
	/[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const visible = (text) => String(text).replace(HIDDEN, (c) => `\\u{${c.charCodeAt(0).toString(16)}}`);
/** Make the element of a template. `fields` are texts by the names of its places. */
function make(template, fields = {}) {
	const made = find(`#t-${template}`).content.firstElementChild.cloneNode(true);
	for (const [name, text] of Object.entries(fields)) fill(made, name, text);
	return made;
}
function fill(element, name, text) {
	const place = element.dataset.f === name ? element : find(`[data-f="${name}"]`, element);
	place.textContent = visible(text ?? "");
	return place;
}
const paragraph = (text) => make("text", { text });
const link = (text, changes) => to(make("link", { text }), changes);
function to(anchor, changes) {
	anchor.setAttribute("href", address(changes));
	return anchor;
}
function address(changes, from = state) {
	const next = new URLSearchParams(from);
	for (const [name, value] of Object.entries(changes)) {
		if (value === null || value === "") next.delete(name);
		else next.set(name, value);
	}
	return `#${next}`;
}
const formats = []; // by their digits; slow to make
const number = (value, digits = 2) =>
	value == null || Number.isNaN(value) ? "" : (formats[digits] ??= new Intl.NumberFormat("en", { maximumFractionDigits: digits, minimumFractionDigits: digits })).format(value);
const count = (value) => number(value, 0);
const several = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;
const say = (text) => (find("#status").textContent = visible(text));
// ---- data
const loading = new Map();
window.clemData = (name, body) => loading.get(name)?.take(body);
/** Load a part of the data; each is loaded once. */
function part(name) {
	if (!loading.has(name)) {
		const entry = {};
		entry.promise = new Promise((take, fail) => {
			entry.take = take;
			const within = document.getElementById(`part-${name}`);
			if (within || S.is_single) return take(JSON.parse(within.textContent));
			const file = document.createElement("script");
			file.onerror = () => fail(new Error(`${path(name)} is missing. Reload, or keep the folder whole`));
			file.onload = () => file.remove();
			file.src = policy.createScriptURL(path(name));
			document.head.append(file);
		}).then(unpack);
		entry.promise.catch(() => loading.delete(name));
		loading.set(name, entry);
		const old = [...loading.keys()].filter((each) => /^[ct]/.test(each));
		if (old.length > 20) loading.delete(old[0]);
	}
	return loading.get(name).promise;
}
const path = (name) => `data/${name[0] === "r" || name[0] === "p" ? "" : `${Math.floor(name.slice(1) / 500)}/`}${name}.js`;
async function unpack(body) {
	const bytes = Uint8Array.from(atob(body), (c) => c.charCodeAt(0));
	const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
	return JSON.parse(await new Response(stream).text());
}
/** Return the number of the part that holds an episode, and its place in it. */
function place(starts, sequence) {
	let low = 0, high = starts.length;
	while (high - low > 1) {
		const middle = (low + high) >> 1;
		if (starts[middle] <= sequence) low = middle;
		else high = middle;
	}
	return [low, sequence - starts[low]];
}
async function episodeOf(row) {
	const [chunk, at] = place(S.chunks, row.q);
	return (await part(`c${chunk}`))[at];
}
// ---- what is selected
const OUTCOMES = { p: "played", l: "lost", a: "aborted", i: "limit", e: "error", m: "missing", u: "not scored" };
const LETTERS = Object.keys(OUTCOMES);
const LISTS = { m: "models", g: "games", x: "experiments", l: "languages", k: "kinds" };
const NONE = { m: null, g: null, x: null, l: null, o: null, p: null, k: null };
const FILTERS = [["m", "Model"], ["g", "Game"], ["x", "Experiment"], ["l", "Language"], ["o", "Outcome"], ["p", "Epoch"]];
/** Return the filters of the address as numbers; -1 stands for all, -2 for a name that is not there. */
function filters() {
	const chosen = {};
	for (const [key] of FILTERS) {
		const value = state.get(key);
		if (value === null) chosen[key] = -1;
		else if (LISTS[key]) chosen[key] = known(key, value);
		else chosen[key] = key === "p" ? Number(value) : value;
	}
	return chosen;
}
function known(key, value) {
	const at = id[key].indexOf(value);
	return at < 0 ? -2 : at;
}
/** Return a function that tells whether a row, or a cell of the counts, passes. */
function tester(chosen) {
	const active = ["m", "x", "l", "o", "p"].filter((key) => chosen[key] !== -1);
	return (at, rows, game) => (chosen.g === -1 || game === chosen.g) && active.every((key) => rows[key][at] === chosen[key]);
}
const filterText = () =>
	[...FILTERS, ["k", "Ended by"]].filter(([key]) => state.has(key)).map(([key, name]) => `${name}: ${valueText(key, state.get(key))}`).join(", ");
const filtered = (text) => text + (filterText() && `; ${filterText()}`);
function valueText(key, value) {
	if (!LISTS[key]) return key === "o" ? OUTCOMES[value] ?? value : value;
	return S[LISTS[key]][known(key, value)] ?? value;
}
const isOfAll = (chosen) => ["x", "l", "p", "o"].every((key) => chosen[key] === -1);
function showFilters() {
	const form = find("#filters");
	const made = [];
	for (const [key, name] of FILTERS) {
		const values = key === "o" ? LETTERS.filter((o) => S.cells.o.includes(o)) : key === "p" ? S.epochs : id[key];
		if (values.length < 2 && !state.has(key)) continue;
		const label = make("filter", { name });
		const select = find("select", label);
		select.append(new Option("all", ""));
		for (const value of values) select.append(new Option(visible(valueText(key, String(value))), value));
		select.value = state.get(key) ?? "";
		select.dataset.key = `filter-${key}`;
		select.className = state.has(key) ? "on" : "";
		select.addEventListener("change", () => location.assign(address({ [key]: select.value, page: null })));
		made.push(label);
	}
	if (filterText()) {
		const clear = make("button", { text: "Clear filters" });
		clear.addEventListener("click", () => location.assign(address({ ...NONE, page: null })));
		made.push(clear);
	}
	form.replaceChildren(...made);
}
/** Add up the cells that pass, by a key. */
function sums(chosen, keyOf) {
	const found = new Map();
	const c = S.cells;
	const passes = tester(chosen);
	for (let at = 0; at < c.n.length; at += 1) {
		if (!passes(at, c, c.g[at])) continue;
		const key = keyOf(at);
		let sum = found.get(key);
		if (!sum) found.set(key, (sum = { o: {} }));
		sum.o[c.o[at]] = (sum.o[c.o[at]] ?? 0) + c.n[at];
		for (const name of ["n", "k", "s", "calls", "tokens", "usd", "seconds"]) sum[name] = (sum[name] ?? 0) + c[name][at];
	}
	return found;
}
const keysOf = (found) => [0, 1].map((side) => [...new Set([...found.keys()].map((key) => Number(key.split(" ")[side])))].sort((a, b) => a - b));
const round = (value) => Math.round(value * 100) / 100;
const ended = (sum) => (sum.o.p ?? 0) + (sum.o.l ?? 0);
const scored = (sum) => ended(sum) + (sum.o.a ?? 0);
const played = (sum) => (scored(sum) ? round((100 * ended(sum)) / scored(sum)) : NaN);
const quality = (sum) => (sum.k ? round(sum.s / sum.k) : NaN);
const mean = (values) => {
	const numbers = values.filter((value) => !Number.isNaN(value));
	return numbers.length ? round(numbers.reduce((a, b) => a + b, 0) / numbers.length) : NaN;
};
// ---- tables
/** Return the column that is sorted by, or -1, and whether it descends. */
function order() {
	const asked = state.get("sort") ?? "x";
	return [/^-?\d+$/.test(asked) ? Math.abs(asked) : -1, asked[0] === "-"];
}
/** Show a table. A column is its name, after "<" (left) or ">" (needed before names of others). A cell has text, to, range, part, stack and value. */
function table(caption, columns, rows, sorted = true) {
	const made = make("table", { caption });
	made.setAttribute("aria-label", visible(caption));
	const [by, descends] = order();
	const isShown = columns.map((_, at) => rows.some((row) => row.cells[at].text || row.cells[at].outcome));
	made.style.setProperty("--n", columns.length);
	columns.forEach((column, at) => {
		if (!isShown[at]) return;
		const isLeft = column[0] === "<";
		const head = make("sort", { name: column.replace(/^[<>]/, "") });
		if (isLeft) head.classList.add("left");
		const button = find("button", head);
		button.dataset.key = `sort-${at}`;
		const isAscending = by === at ? descends : isLeft;
		button.addEventListener("click", () => location.replace(address({ sort: isAscending ? at : `-${at}`, page: null })));
		if (by === at) head.setAttribute("aria-sort", descends ? "descending" : "ascending");
		find("tr", made).append(head);
	});
	const shown = [...rows];
	if (sorted && by >= 0 && by < columns.length) {
		const value = (row) => row.cells[by].value ?? row.cells[by].text;
		shown.sort((a, b) => compare(value(a), value(b)) * (descends ? -1 : 1));
	}
	const body = find("tbody", made);
	for (const row of shown) {
		const line = document.createElement("tr");
		row.cells.forEach((cell, at) => isShown[at] && line.append(cellOf(cell, at === 0 && row.isHead !== false, columns[at][0] === "<")));
		body.append(line);
	}
	return made;
}
function compare(one, other) {
	if (typeof one === "number" && typeof other === "number") {
		if (Number.isNaN(one) || Number.isNaN(other)) return Number.isNaN(other) - Number.isNaN(one);
		return one - other;
	}
	return String(one).localeCompare(String(other), "en", { numeric: true });
}
function cellOf(cell, isHead, isLeft) {
	if (isHead) {
		const head = make("row-head", { text: cell.text });
		if (cell.to) to(find("a", head), cell.to);
		return head;
	}
	if (cell.outcome) {
		const made = make("plain");
		const inner = outcome(cell.outcome);
		if (cell.to) made.append(to(make("link"), cell.to)), find("a", made).append(inner);
		else made.append(inner);
		made.classList.add("left");
		return made;
	}
	if (!cell.to && !cell.range && !cell.part && !cell.stack && !cell.isMain) {
		const made = make("plain", { text: cell.text });
		if (isLeft) made.classList.add("left");
		if (cell.long) made.classList.add("long");
		return made;
	}
	const made = make("cell", { text: cell.text, range: cell.range, part: cell.part });
	if (cell.to) to(find("a", made), cell.to);
	if (cell.isMain) find("a", made).classList.add("main");
	if (isLeft) made.classList.add("left");
	const bar = find(".stack", made);
	if (cell.stack) stack(bar, cell.stack);
	if (cell.span) span(bar, cell.span);
	return made;
}
function outcome(letter) {
	const made = make("outcome", { text: OUTCOMES[letter] });
	made.classList.add(letter);
	return made;
}
function stack(bar, sum) {
	for (const letter of LETTERS) {
		if (!sum.o[letter]) continue;
		const piece = make("bar");
		piece.classList.add(letter);
		piece.style.flex = String(sum.o[letter]);
		bar.append(piece);
	}
}
/** Show a number between its ends, or the ends alone. */
function span(bar, [low, high, at]) {
	bar.classList.add("span", at === undefined ? "bounds" : "interval");
	Object.entries({ low, high, at: at ?? 0 }).forEach(([name, value]) => bar.style.setProperty(`--${name}`, `${Math.min(100, Math.max(0, value))}%`));
}
const legend = () => make("legend");
const range = (found) => (!found ? "" : found[0] === null ? `no interval: ${found[2] ?? "unknown"}` : `${number(found[0], 1)}\xa0to\xa0${number(found[1], 1)}${found[3] ? "*" : ""}`);
function leaderboard() {
	const chosen = filters();
	if (chosen.o !== -1) return shares(chosen);
	const found = sums(chosen, (at) => `${S.cells.m[at]} ${S.cells.g[at]}`);
	const [models, games] = keysOf(found);
	const isWhole = isOfAll(chosen);
	const columns = ["<Model", "clemscore", "% played", "Quality", "Episodes"];
	for (const g of games) columns.push(`>${S.games[g]}: % played`, `>${S.games[g]}: quality`);
	const rows = models.map((m) => {
		const whole = isWhole ? S.results.models[S.models[m]] : undefined;
		const all = games.map((g) => found.get(`${m} ${g}`)).filter(Boolean);
		const isAll = whole && chosen.g === -1;
		const [percent, score] = isAll ? [whole.average_played_percent ?? NaN, whole.average_quality_score ?? NaN] : [mean(all.map(played)), mean(all.map(quality))];
		const total = { n: 0, o: {}, usd: 0 };
		for (const sum of all) {
			total.n += sum.n;
			for (const [o, n] of Object.entries(sum.o)) total.o[o] = (total.o[o] ?? 0) + n;
		}
		const unknown = total.n - scored(total);
		const clemscore = round((percent / 100) * score);
		const limits = unknown ? (isAll ? whole.bounds : bounds(all)) : null;
		const ends = isAll ? interval(whole, "clemscore") : null;
		const cells = [
			{ text: S.models[m], to: { view: "episodes", m: id.m[m], sort: null } },
			unknown
				? { text: "incomplete", isMain: true, range: limits ? `between ${number(limits[0])} and ${number(limits[1])}` : "", part: several(unknown, "episode without scores", "episodes without scores"), value: limits ? limits[0] : NaN, span: limits }
				: { text: number(clemscore), isMain: true, value: clemscore, range: range(ends), span: typeof ends?.[0] === "number" ? [ends[0], ends[1], clemscore] : null },
			{ text: number(percent), value: percent, range: isAll ? range(interval(whole, "average_played_percent")) : "" },
			{ text: number(score), value: score, range: isAll ? range(interval(whole, "average_quality_score")) : "" },
			{ text: count(total.n), value: total.n, part: `${count(scored(total))} scored`, stack: total },
		];
		for (const g of games) {
			const sum = found.get(`${m} ${g}`);
			const told = whole?.games?.[S.games[g]];
			cells.push(...(sum ? pair(sum, told, episodesOf(m, g)) : [{ value: NaN }, { value: NaN }]));
		}
		return { cells };
	});
	if (!rows.length) return [nothing()];
	if (!state.has("sort")) rows.sort((a, b) => compare(b.cells[1].value, a.cells[1].value));
	const hasIntervals = isWhole && rows.some((row) => row.cells.some((cell) => /^[-\d]/.test(cell.range ?? "")));
	const made = [
		table(filtered(`${several(rows.length, "model")} on ${several(games.length, "game")}`), columns, rows),
		legend(),
		make("explain"),
	];
	made.push(make(hasIntervals ? "ranges" : isWhole ? "no-ranges" : "hidden-ranges"));
	return made;
}
function interval(told, name) {
	const found = told?.intervals?.[name];
	return found ? [found.low, found.high, found.note, found.caution] : null;
}
const episodesOf = (m, g) => ({ view: "episodes", m: id.m[m], g: id.g[g], sort: null });
/** Return the cells for the percentage played and the quality of a model in a game. */
function pair(sum, told, to) {
	const [percent, score] = [told?.played_percent ?? played(sum), told?.quality_score ?? quality(sum)];
	const planned = sum.n > scored(sum) ? `, ${count(sum.n)} planned` : "";
	return [
		{ text: number(percent) || "none", to, value: percent, range: range(interval(told, "played_percent")), part: `${count(ended(sum))} of ${count(scored(sum))}${planned}`, stack: sum },
		{ text: number(score) || "none", to, value: score, range: range(interval(told, "quality_score")), part: `of ${several(sum.k, "episode")}` },
	];
}
/** The lowest and the highest clemscore that episodes without scores could lead to. */
function bounds(all) {
	return [0, 1].map((end) => {
		const percent = mean(all.map((sum) => (100 * (ended(sum) + (sum.n - scored(sum)) * end)) / sum.n));
		const score = mean(all.map((sum) => (sum.s + (sum.n - scored(sum)) * 100 * end) / (sum.k + sum.n - scored(sum))));
		return round((percent / 100) * score);
	});
}
/** With a filter for the outcome, the table shows how many episodes have it. */
function shares(chosen) {
	const all = sums({ ...chosen, o: -1 }, (at) => `${S.cells.m[at]} ${S.cells.g[at]}`);
	const [models, games] = keysOf(all);
	const rows = models.map((m) => ({
		cells: [
			{ text: S.models[m], to: { view: "episodes", m: id.m[m] } },
			...games.map((g) => {
				const sum = all.get(`${m} ${g}`);
				if (!sum) return { text: "", value: NaN };
				const n = sum.o[chosen.o] ?? 0;
				return { text: `${number((100 * n) / sum.n, 1)} %`, value: n / sum.n, part: `${count(n)} of ${count(sum.n)}`, stack: sum, to: episodesOf(m, g) };
			}),
		],
	}));
	if (!rows.length) return [nothing()];
	const columns = ["<Model", ...games.map((g) => `>${S.games[g]}`)];
	return [table(`Share of episodes with the outcome ${OUTCOMES[chosen.o]}`, columns, rows), legend()];
}
function nothing() {
	return paragraph(filterText() ? `No episode passes the filters (${filterText()}). Clear one of them.` : "There is no episode yet.");
}
function game() {
	const chosen = filters();
	const shown = chosen.g >= 0 ? [chosen.g] : S.games.map((_, g) => g);
	const made = [];
	for (const g of shown) {
		const of = { ...chosen, g };
		const found = sums(of, (at) => S.cells.m[at]);
		if (!found.size) continue;
		made.push(make("title", { text: S.games[g] }));
		const columns = ["<Model", "% played", "Quality", ...Object.values(OUTCOMES), "Calls", "Tokens", "USD", "Seconds"];
		const isWhole = isOfAll(chosen);
		const rows = [...found].map(([m, sum]) => {
			const told = isWhole ? S.results.models[S.models[m]]?.games?.[S.games[g]] : undefined;
			const base = episodesOf(m, g);
			const each = (value, digits) => ({ text: value ? number(value, digits) : "", value, part: value ? `${number(value / sum.n, digits || 1)} per episode` : "" });
			return {
				cells: [
					{ text: S.models[m], to: base },
					...pair(sum, told),
					...LETTERS.map((o) => ({ text: count(sum.o[o] ?? 0), value: sum.o[o] ?? 0, to: sum.o[o] ? { ...base, o } : null })),
					each(sum.calls, 0),
					each(sum.tokens, 0),
					each(sum.usd, 4),
					each(sum.seconds, 1),
				],
			};
		});
		made.push(table(`${S.games[g]}: all models`, columns, rows));
		const plots = S.plots.filter((plot) => plot.game === g);
		if (plots.length && isWhole && chosen.m === -1) {
			const figures = make("figures");
			figures.append(...plots.map(figure));
			made.push(figures);
		}
		const inner = sums(of, (at) => `${S.cells.x[at]} ${S.cells.m[at]}`);
		const experiments = [...new Set([...inner.keys()].map((key) => Number(key.split(" ")[0])))];
		const models = [...found.keys()];
		const lines = experiments.map((x) => ({
			cells: [
				{ text: S.experiments[x], to: { view: "instances", g: id.g[g], x: id.x[x], sort: null } },
				...models.map((m) => {
					const sum = inner.get(`${x} ${m}`);
					return sum ? { text: number(quality(sum)) || "none", value: quality(sum), part: `${number(played(sum), 0) || 0} % of ${count(scored(sum))} played`, stack: sum, to: { ...episodesOf(m, g), x: id.x[x] } } : { text: "" };
				}),
			],
		}));
		made.push(table(`${S.games[g]}: quality by experiment`, ["<Experiment", ...models.map((m) => `>${S.models[m]}`)], lines, false));
	}
	if (made.length && isOfAll(chosen)) made.push(make("ranges"));
	return made.length ? [...made, legend()] : [nothing()];
}
function figure(plot) {
	const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
	const name = `p${plot.number * 2 + Number(isDark)}`;
	const made = make("plot", { text: plot.text });
	const image = find("img", made);
	image.alt = visible(plot.text);
	part(name).then((svg) => (image.src = `data:image/svg+xml;base64,${svg}`), (fault) => made.append(bad(fault.message)));
	return made;
}
// ---- lists of episodes
class Row {
	constructor(t, g, at) {
		Object.assign(this, { t, g, at });
	}
}
for (const name of "qmxliposnkdw") Object.defineProperty(Row.prototype, name, { get() { return this.t[name][this.at]; } });
/** Return the rows that pass, as tables of games and places in them. */
async function rowsOf(chosen) {
	const games = S.games.map((_, g) => g).filter((g) => chosen.g === -1 || g === chosen.g);
	const tables = await Promise.all(games.map((g) => part(`r${g}`)));
	const kind = state.has("k") ? known("k", state.get("k")) : -1;
	const passes = tester(chosen);
	let size = 0;
	for (const rows of tables) size += rows.q.length;
	const of = new Uint16Array(size), at = new Uint32Array(size);
	let n = 0;
	tables.forEach((rows, index) => {
		for (let place = 0; place < rows.q.length; place += 1) {
			if (!passes(place, rows, games[index]) || (kind !== -1 && rows.k[place] !== kind)) continue;
			of[n] = index;
			at[n] = place;
			n += 1;
		}
	});
	return { games, tables, of: of.subarray(0, n), at: at.subarray(0, n), n };
}
const listOf = (found) => Array.from({ length: found.n }, (_, index) => rowAt(found, index));
const rowAt = (found, index) => new Row(found.tables[found.of[index]], found.games[found.of[index]], found.at[index]);
const SORTS = "mgxiposndw"; // columns; "g" is the game of a table
const ranks = {}; // of names, by column
function ranksOf(names) {
	const order = names.map((_, at) => at).sort((a, b) => compare(names[a], names[b]));
	const found = [];
	order.forEach((at, rank) => (found[at] = rank));
	return found;
}
// Each step of a sort is a function: those are compiled sooner.
function keysBy({ games, tables, of, at, n }, by) {
	const name = SORTS[by];
	const rank = by < 3 && (ranks[name] ??= ranksOf(S[LISTS[name]]));
	const keys = new Float64Array(n);
	for (let row = 0; row < n; row += 1) {
		const value = name === "g" ? games[of[row]] : tables[of[row]][name][at[row]];
		keys[row] = (rank ? rank[value] : name === "o" ? LETTERS.indexOf(value) : value ?? -Infinity) + 0; // -0 is 0
	}
	return keys.buffer;
}
/** Let bits of floats sort as floats. */
function flip(bits, all) {
	for (let at = 0; at < bits.length; at += 2) {
		const negative = bits[at + 1] >> 31;
		bits[at] ^= negative ^ all;
		bits[at + 1] ^= (negative | (1 << 31)) ^ all;
	}
}
function sortBy(digits, digit, order, next) {
	const places = new Uint32Array(65537);
	for (let at = digit; at < digits.length; at += 4) places[digits[at] + 1] += 1;
	for (let at = 0; at < 65536; at += 1) places[at + 1] += places[at];
	for (let at = 0; at < order.length; at += 1) next[places[digits[4 * order[at] + digit]]++] = order[at];
}
function sorted(found, by, descends) {
	const keys = keysBy(found, by), digits = new Uint16Array(keys);
	flip(new Int32Array(keys), -descends);
	const order = new Uint32Array(found.n).map((_, at) => at), next = order.slice();
	sortBy(digits, 0, order, next);
	sortBy(digits, 1, next, order);
	sortBy(digits, 2, order, next);
	sortBy(digits, 3, next, order);
	return order;
}
const epoch = (row) => (S.epochs.length > 1 ? `, epoch ${row.p}` : "");
const PAGE = 100;
function pageOf(size) {
	const pages = Math.ceil(size / PAGE);
	return [Math.min(Math.max(Number(state.get("page")) || 1, 1), pages), pages];
}
async function episodes() {
	const found = await rowsOf(filters());
	if (!found.n) return [nothing()];
	const [by, descends] = order();
	const places = by >= 0 && by < SORTS.length ? sorted(found, by, descends) : null;
	const [page, pages] = pageOf(found.n);
	const rows = [];
	for (let at = (page - 1) * PAGE; at < Math.min(page * PAGE, found.n); at += 1) {
		const row = rowAt(found, places ? places[at] : at);
		rows.push({
			cells: [
				{ text: S.models[row.m], to: episodeLink(row) },
				{ text: S.games[row.g] },
				{ text: S.experiments[row.x] },
				{ text: String(row.i) },
				{ text: String(row.p) },
				{ outcome: row.o },
				{ text: number(row.s) },
				{ text: count(row.n) },
				{ text: row.d ? number(row.d, 4) : "" },
				{ text: number(row.w, 1) },
			],
		});
	}
	const columns = ["<Model", "<Game", "<Experiment", "Instance", "Epoch", "<Outcome", "Score", "Calls", "USD", "Seconds"];
	const made = table(filtered(several(found.n, "episode")), columns, rows, false);
	return [made, pager(page, pages), legend()];
}
function pager(page, pages) {
	const tools = make("tools");
	if (pages < 2) return tools;
	const step = (text, target) => {
		const button = make("button", { text });
		button.dataset.key = text;
		button.disabled = target < 1 || target > pages;
		button.addEventListener("click", () => location.assign(address({ page: target })));
		return button;
	};
	tools.append(step("Previous", page - 1), make("page", { text: `Page ${count(page)} of ${count(pages)}` }), step("Next", page + 1));
	return tools;
}
const keyOf = (row) => ({ g: id.g[row.g], x: id.x[row.x], i: row.i, p: row.p });
const episodeLink = (row) => ({ view: "episode", m: id.m[row.m], ...keyOf(row), o: null, l: null, k: null, sort: null, page: null, call: null });
// ---- one episode
async function episode() {
	const found = await rowsOf({ ...filters(), o: -1, l: -1 });
	const instance = Number(state.get("i"));
	const row = listOf(found).find((each) => each.i === instance);
	if (!row) return [paragraph("This episode is not in these results.")];
	const told = await episodeOf(row);
	const made = [make("title", { text: `${S.games[row.g]}, ${S.experiments[row.x]}, instance ${instance}${epoch(row)}` })];
	const tools = make("tools");
	tools.append(link("All episodes of this game and model", { view: "episodes", x: null, i: null, p: null, call: null }));
	tools.append(link("This instance with all models", { view: "side", m: null, call: null }));
	const others = listOf(await rowsOf({ m: row.m, g: row.g, x: -1, l: -1, o: -1, p: -1 }));
	const here = others.findIndex((each) => each.at === row.at);
	if (here > 0) tools.append(link("Previous episode", episodeLink(others[here - 1])));
	if (here < others.length - 1) tools.append(link("Next episode", episodeLink(others[here + 1])));
	made.push(tools, ...body(told, row, true));
	return made;
}
function body(told, row, isWhole) {
	const made = [];
	const facts = make("facts");
	const fact = (name, text) => text !== "" && facts.append(make("fact", { name, text }));
	if (isWhole) fact("Model", S.models[row.m]);
	const result = make("fact", { name: "Outcome" });
	fill(result, "text", "").append(outcome(row.o));
	facts.append(result);
	fact("Main score", number(row.s));
	fact("Calls of models", count(row.n));
	fact("Tokens in / out", told.tokens[0] || told.tokens[1] ? `${count(told.tokens[0])} / ${count(told.tokens[1])}` : "");
	fact("USD", row.d ? String(row.d) : "");
	fact("Seconds", row.w ? number(row.w, 1) : "");
	fact("Ended", (told.ended ?? "").replace(/T(.{8})\S*\+00:00$/, " $1 UTC"));
	for (const [name, [role, model]] of Object.entries(told.view.players)) if (isWhole) fact(role ? `${name} (${role})` : name, model);
	made.push(facts);
	if (told.problem) made.push(bad(told.problem));
	if (told.error) made.push(bad(told.error));
	if (isWhole) {
		if (told.scores) made.push(fold("Scores", told.scores));
		if (told.instance) made.push(fold("Instance", told.instance));
	}
	const colors = Object.fromEntries(Object.keys(told.view.players).map((name, at) => [name, (at % 8) + 1]));
	const calls = new Map(told.view.calls.map((call) => [call.number, call]));
	const rest = new Map(calls);
	told.view.rounds.forEach((round, at) => {
		const section = make("round", { name: `Round ${at}` });
		for (const event of round) {
			section.append(message(event, told, colors, calls.get(event.call), row));
			rest.delete(event.call);
		}
		made.push(section);
	});
	if (rest.size) {
		const section = make("round", { name: told.view.rounds.length ? "Calls without a message" : "Calls" });
		for (const call of rest.values()) section.append(callOf(call, told, row));
		made.push(section);
	}
	return made;
}
const bad = (text) => make("bad", { text });
function message(event, told, colors, call, row) {
	const role = (name) => (name === "GM" ? "Game Master" : told.view.players[name]?.[0] ? `${name} (${told.view.players[name][0]})` : name);
	const isInner = event.from === "GM" && event.to === "GM";
	const made = make("message", { speaker: isInner ? event.type : `${role(event.from)} to ${role(event.to)}`, text: event.content });
	const player = event.from === "GM" ? event.to : event.from;
	made.classList.add(isInner ? "gm-gm" : event.from === "GM" ? "gm-p" : "p-gm");
	if (Object.hasOwn(colors, player)) made.classList.add(`c${colors[player]}`);
	if (event.forget) made.classList.add("forget");
	for (const [key, name] of event.images ?? []) {
		const data = key === null ? null : told.images?.[key];
		if (data && /^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/.test(data)) {
			made.append(Object.assign(make("image"), { alt: visible(name), src: data }));
		} else made.append(paragraph(`Image: ${name}`));
	}
	if (call) made.append(callOf(call, told, row));
	return made;
}
function fold(name, text, template = "fold") {
	const made = make(template, { name, text });
	find("pre", made).setAttribute("aria-label", visible(name));
	return made;
}
const said = (name, text) => fold(name, text, "said");
function callOf(call, told, row) {
	const of = Object.fromEntries(call.facts);
	const parts = [`Call ${call.number}`, call.origin];
	if (of.seconds) parts.push(`${of.seconds} s`);
	if (of["tokens in"] || of["tokens out"]) parts.push(`${of["tokens in"] ?? "?"} → ${of["tokens out"] ?? "?"} tokens`);
	if (of.USD) parts.push(`${of.USD} USD`);
	const made = make("call", { name: parts.join(" · ") });
	const inner = find("div", made);
	const open = () => inner.childElementCount || inner.append(...callBody(call, told, row));
	if (state.get("view") === "episode" && Number(state.get("call") ?? -1) === call.number) {
		made.open = true;
		made.dataset.asked = "";
		open();
	}
	made.addEventListener("toggle", (event) => {
		if (event.target !== made) return;
		if (made.open) open();
		if (state.get("view") !== "episode") return;
		state = new URLSearchParams(address({ call: made.open ? call.number : null }).slice(1));
		history.replaceState(null, "", `#${state}`);
	});
	return made;
}
function callBody(call, told, row) {
	const made = [];
	if (call.error) made.push(bad(call.error));
	if (call.earlier) made.push(make("earlier", { n: several(call.earlier, "message"), player: call.player }));
	for (const [name, text] of call.prompt) made.push(said(`Prompt: ${name}`, text));
	if (call.thinking) made.push(fold("Thinking", call.thinking));
	made.push(said("Response", call.response ?? "(none)"));
	const facts = make("facts");
	for (const [name, text] of call.facts) facts.append(make("fact", { name, text }));
	made.push(facts);
	if (call.arguments) {
		const list = make("arguments");
		for (const [name, text] of call.arguments) find("dl", list).append(make("fact", { name, text }));
		made.push(list);
	}
	const raw = fold("Raw request and response, as recorded", call.raw);
	raw.addEventListener("toggle", (event) => event.stopPropagation());
	made.push(raw);
	if (told.place && call.origin !== "program") {
		const tools = make("tools");
		const command = `clem respond --again ${quoted(`${S.places[row.m]}/${told.place}`)} --call ${call.number}`;
		const button = make("button", { text: "Copy as clem respond" });
		button.addEventListener("click", () => copy(command));
		tools.append(button);
		made.push(tools);
	}
	return made;
}
const quoted = (text) => (/^[\w./%+=:@-]+$/.test(text) ? text : `'${visible(text).replaceAll("\n", "\\n").replaceAll("'", "'\\''")}'`);
async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
		say(`Copied: ${text}`);
	} catch {
		say(`Copy this command: ${text}`);
	}
}
async function side() {
	const found = await rowsOf({ ...filters(), m: -1, o: -1, l: -1 });
	const instance = Number(state.get("i"));
	const rows = listOf(found).filter((row) => row.i === instance);
	if (!rows.length) return [paragraph("This instance is not in these results.")];
	const first = rows[0];
	const made = [make("title", { text: `${S.games[first.g]}, ${S.experiments[first.x]}, instance ${instance}` })];
	made.push(paragraph(`${several(rows.length, "episode")} of this instance.`));
	const columns = make("columns");
	for (const row of rows.slice(0, 12)) {
		const told = await episodeOf(row);
		const column = make("column", { text: S.models[row.m] + epoch(row) });
		to(find("a", column), episodeLink(row));
		column.append(...body(told, row, false));
		columns.append(column);
	}
	if (rows.length > 12) made.push(paragraph("The first 12 are shown."));
	return [...made, columns];
}
async function instances() {
	const chosen = filters();
	if (chosen.g === -1 && S.games.length > 1) return chooseGame();
	if (chosen.g === -1) chosen.g = 0;
	const found = await rowsOf(chosen);
	if (!found.n) return [nothing()];
	const lines = new Map();
	const models = new Set();
	for (const row of listOf(found)) {
		const key = `${row.x} ${row.i} ${row.p}`;
		if (!lines.has(key)) lines.set(key, new Map());
		lines.get(key).set(row.m, row);
		models.add(row.m);
	}
	const ordered = [...models].sort((a, b) => compare(S.models[a], S.models[b]));
	const all = [...lines.values()];
	const [page, pages] = pageOf(all.length);
	const rows = all.slice((page - 1) * PAGE, page * PAGE).map((line) => {
		const row = line.values().next().value;
		const name = `${S.experiments[row.x]}, ${row.i}${epoch(row)}`;
		return {
			cells: [
				{ text: name, to: { view: "side", ...keyOf(row), m: null, sort: null, page: null } },
				...ordered.map((m) => {
					const of = line.get(m);
					if (!of) return { text: "" };
					return { text: number(of.s) || OUTCOMES[of.o], value: of.s ?? NaN, part: of.s === null ? "" : OUTCOMES[of.o], stack: { o: { [of.o]: 1 } }, to: episodeLink(of) };
				}),
			],
		};
	});
	return [table(`${S.games[chosen.g]}: ${several(all.length, "instance")}. An instance leads to its episodes side by side.`, ["<Instance", ...ordered.map((m) => `>${S.models[m]}`)], rows), pager(page, pages), legend()];
}
function chooseGame() {
	const list = make("list");
	for (const [g, name] of S.games.entries()) {
		const item = make("item", { text: name });
		to(find("a", item), { g: id.g[g] });
		list.append(item);
	}
	return [paragraph("Choose a game to see its instances with all models:"), list];
}
async function errors() {
	const found = await rowsOf(filters());
	const kinds = new Map();
	for (const row of listOf(found)) {
		if (row.k < 0) continue;
		if (!kinds.has(row.k)) kinds.set(row.k, { n: 0, models: new Set(), games: new Set(), o: row.o });
		const kind = kinds.get(row.k);
		kind.n += 1;
		kind.models.add(row.m);
		kind.games.add(row.g);
	}
	if (!kinds.size) return [make("no-errors", { filters: filterText() })];
	const names = (set, list) => [...set].slice(0, 5).map((at) => list[at]).join(", ") + (set.size > 5 ? ` and ${set.size - 5} more` : "");
	const rows = [...kinds].sort((a, b) => b[1].n - a[1].n).map(([k, kind]) => ({
		isHead: false,
		cells: [
			{ outcome: kind.o, text: OUTCOMES[kind.o], value: OUTCOMES[kind.o] },
			{ text: count(kind.n), value: kind.n, to: { view: "episodes", k: id.k[k], sort: null } },
			{ text: S.kinds[k], long: true },
			{ text: names(kind.games, S.games), long: true },
			{ text: names(kind.models, S.models), long: true },
		],
	}));
	return [table(`${several(kinds.size, "kind")} of errors; a number leads to its episodes`, ["<Outcome", "Episodes", "<What ended them", "<Games", "<Models"], rows)];
}
// ---- search
async function search(mine) {
	const form = make("search");
	const query = state.get("q") ?? "";
	const input = find("input", form);
	input.value = query;
	input.dataset.key = "query";
	form.addEventListener("submit", (event) => {
		event.preventDefault();
		location.assign(address({ q: input.value }));
	});
	const made = [form];
	if (!query) return [...made, make("help")];
	const list = make("list");
	main.replaceChildren(...made, list);
	const found = await rowsOf(filters());
	const parts = new Map();
	for (const row of listOf(found)) {
		const [which, at] = place(S.texts, row.q);
		if (!parts.has(which)) parts.set(which, []);
		parts.get(which).push([at, row]);
	}
	const wanted = query.toLowerCase();
	let hits = 0, read = 0;
	for (const [which, rows] of parts) {
		const texts = await part(`t${which}`);
		if (mine !== turn) return null;
		for (const [at, row] of rows) {
			texts[at].forEach((text, call) => {
				const where = text.toLowerCase().indexOf(wanted);
				if (where < 0) return;
				hits += 1;
				if (hits <= 200) list.append(hit(row, text, where, query.length, call));
			});
		}
		read += 1;
		say(`${several(hits, "response")} found; ${count(read)} of ${several(parts.size, "part")} searched`);
		loading.delete(`t${which}`);
	}
	say(filtered(`${several(hits, "response")} found in ${several(found.n, "episode")}${hits > 200 ? "; the first 200 are shown" : ""}`));
	return [...made, list];
}
function hit(row, text, where, length, call) {
	const from = Math.max(0, where - 60);
	const name = `${S.models[row.m]}: ${S.games[row.g]}, ${S.experiments[row.x]}, instance ${row.i}`;
	const made = make("hit", { text: name, before: (from ? "… " : "") + text.slice(from, where), match: text.slice(where, where + length), after: text.slice(where + length, where + length + 80) + (text.length > where + length + 80 ? " …" : "") });
	to(find("a", made), { ...episodeLink(row), q: null, call });
	return made;
}
function about() {
	const made = [make("title", { text: "Where this comes from" })];
	const facts = make("facts");
	for (const [name, text] of S.about) facts.append(make("fact", { name, text }));
	made.push(facts);
	if (S.problems.length) {
		made.push(make("title", { text: "What could not be read" }));
		const list = make("list");
		for (const problem of S.problems) list.append(make("item", { more: problem }));
		made.push(list);
		if (S.more_problems) made.push(paragraph(`… and ${count(S.more_problems)} more`));
	}
	return made;
}
// ---- the page
const VIEWS = { table: leaderboard, games: game, episodes, instances, errors, search, about };
const INNER = { episode: ["episodes", episode], side: ["instances", side] };
async function render() {
	const mine = (turn += 1);
	const before = state.get("view");
	state = new URLSearchParams(location.hash.slice(1));
	const view = state.get("view") ?? "table";
	const [shown, run] = VIEWS[view] ? [view, VIEWS[view]] : INNER[view] ?? ["table", leaderboard];
	const key = document.activeElement?.dataset?.key;
	for (const made of document.querySelectorAll("#views a")) {
		const name = made.dataset.view;
		to(made, { view: name, sort: null, page: null, i: null, call: null, k: null, q: null });
		made.ariaCurrent = name === shown ? "page" : null;
		if (name === "about" && S.problems.length) made.textContent = `About (${several(S.problems.length + S.more_problems, "problem")})`;
	}
	showFilters();
	main.setAttribute("aria-busy", "true");
	say("");
	try {
		const made = await run(mine);
		if (mine !== turn || made === null) return;
		main.replaceChildren(...made);
	} catch (fault) {
		if (mine !== turn) return;
		main.replaceChildren(bad(fault.message));
	}
	main.setAttribute("aria-busy", "false");
	const again = key && [...document.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key);
	const asked = find("[data-asked]");
	if (asked) {
		find("summary", asked).focus({ preventScroll: true });
		asked.scrollIntoView({ block: "start" });
	} else if (again) again.focus({ preventScroll: true });
	else if (before !== state.get("view") && before !== undefined && mine > 1) {
		main.focus({ preventScroll: true });
		scrollTo(0, 0);
	}
	if (view === "search" && !state.has("q")) find("input", main)?.focus();
}
S = JSON.parse(find("#start").textContent);
id = { m: S.ids.models, g: S.ids.games, x: S.ids.experiments, l: S.ids.languages, k: S.ids.kinds };
find("#summary").textContent = S.summary;
addEventListener("hashchange", render);
render();
