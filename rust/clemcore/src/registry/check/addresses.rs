//! Addresses of servers, and ids of models that are written as addresses.

/// How the addresses of calls end; each is added to the address of a server. The first that fits counts.
const CALLS: &[(&str, &str)] = &[
    ("/chat/completions", "/chat/completions"),
    ("/completions", "/chat/completions"),
    ("/responses", "/responses"),
    ("/v1/messages", "/v1/messages"),
    ("/messages", "/messages"),
    ("/v2/chat", "/v2/chat"),
    ("/api/chat", "/api/chat"),
    ("/api/generate", "/api/generate"),
    (":generateContent", "/v1beta/models/NAME:generateContent"),
    (":streamGenerateContent", "/v1beta/models/NAME:streamGenerateContent"),
];

/// What is wrong with the address of a server, as the rest of a sentence that begins with its name; `None` for one that
/// can be called. What the address holds is never part of the words: it may be a password.
///
/// ```
/// use clemcore::registry::address_fault;
/// assert_eq!(address_fault("http://127.0.0.1:8000/v1"), None);
/// assert_eq!(address_fault("localhost:8000").unwrap(), "must start with http:// or https:// and name a host");
/// ```
#[must_use]
pub fn address_fault(text: &str) -> Option<String> {
    const START: &str = "must start with http:// or https:// and name a host";
    let text = text.trim();
    if let Some(fields) = azure_call(text) {
        return Some(format!("is the address of one call: write {fields}"));
    }
    let Some((scheme, rest)) = text.split_once("://") else { return Some(START.to_owned()) };
    if !["http", "https"].contains(&&*scheme.to_ascii_lowercase()) {
        return Some(START.to_owned());
    }
    let (authority, after) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') || after.contains(['?', '#']) {
        return Some(
            "must hold no user, password, query or fragment: a key belongs into key.json or the environment"
                .to_owned(),
        );
    }
    if begins_another(rest) {
        return Some("holds several addresses: write them as a list".to_owned());
    }
    let (host, port) = host_and_port(authority);
    if host.is_empty() {
        return Some(START.to_owned());
    }
    // A blank of a path can be sent, as %20.
    if authority.contains(char::is_whitespace) || text.contains(char::is_control) {
        return Some("holds a blank in its host, or a control character".to_owned());
    }
    if port.is_some_and(|port| !port.is_empty() && !port.parse::<u16>().is_ok_and(|number| number > 0)) {
        return Some("has a port that is not a number from 1 to 65535".to_owned());
    }
    if host.contains([':', '[', ']']) && !is_ipv6(host) {
        return Some("has an invalid IPv6 address: write it in brackets, as http://[::1]:8000/v1".to_owned());
    }
    call(after.trim_end_matches('/'))
        .map(|(_, shown)| format!("must end before '{shown}', which is added automatically"))
}

/// The form of an address that is the same for all spellings of one server: without a slash at the end, without the
/// usual port, and scheme and host in small letters.
///
/// ```
/// use clemcore::registry::address_key;
/// assert_eq!(address_key(" HTTP://Node1:80/v1/"), address_key("http://node1/v1"));
/// assert_ne!(address_key("http://h:8000/V1"), address_key("http://h:8000/v1"));
/// ```
#[must_use]
pub fn address_key(text: &str) -> String {
    let text = text.trim().trim_end_matches('/');
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let scheme = scheme.to_ascii_lowercase();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = host_and_port(authority);
    let usual = if scheme == "https" { "443" } else { "80" };
    let port = port.filter(|port| !port.is_empty() && *port != usual);
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    format!("{scheme}://{}{port}{path}", host.to_ascii_lowercase())
}

/// Whether another address begins after a comma, a semicolon or a blank; in a path it is the address of a proxy.
fn begins_another(rest: &str) -> bool {
    let rest = rest.to_ascii_lowercase();
    ["http://", "https://"].iter().any(|scheme| {
        rest.match_indices(scheme)
            .any(|(at, _)| rest[..at].ends_with([',', ';']) || rest[..at].ends_with(char::is_whitespace))
    })
}

/// The host of an authority, in brackets if it is an IPv6 address, and the text of its port.
fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// Whether a host is an IPv6 address in brackets, perhaps with a zone.
fn is_ipv6(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = inner.map(|inner| inner.split_once('%').map_or(inner, |(address, _)| address));
    address.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

/// The path of a file with addresses, where a text is one: it begins with `file:`, or as only a path does.
///
/// ```
/// use clemcore::registry::servers_file;
/// assert_eq!(servers_file("file:servers.txt"), Some("servers.txt"));
/// assert_eq!(servers_file("/jobs/servers.txt"), Some("/jobs/servers.txt"));
/// assert_eq!(servers_file("localhost:8000/v1"), None);
/// ```
#[must_use]
pub fn servers_file(text: &str) -> Option<&str> {
    let text = text.trim();
    let path = match text.strip_prefix("file:") {
        Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
        None if ["/", "./", "../", "~/"].iter().any(|start| text.starts_with(start)) => text,
        None => return None,
    };
    (!path.is_empty()).then_some(path)
}

/// The fields to write in place of the address of a call that Azure's portal shows; `None` for any other address.
/// Such an address names the deployment, the version of the API, or both. A login or another query is not shown.
fn azure_call(text: &str) -> Option<String> {
    let (address, query) = text.split_once('?').unwrap_or((text, ""));
    let address = address.trim_end_matches('/');
    if let Some(base) =
        address.strip_suffix("/models/chat/completions").filter(|_| query.contains("api-version="))
    {
        let is_resource = base.starts_with("https://") && base.ends_with(".services.ai.azure.com");
        return (is_resource && !base.contains('@')).then(|| format!("\"base_url\": \"{base}\""));
    }
    let (base, call) = address.split_once("/openai/")?;
    let version = query.split('&').find_map(|part| part.strip_prefix("api-version=")).unwrap_or("");
    let is_word = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) && text.len() <= 64
    };
    let date = version.strip_suffix("-preview").unwrap_or(version);
    let is_date = date.len() == 10 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let is_version = is_date || ["", "v1", "preview", "latest"].contains(&version);
    if !is_version || address.contains(['@', '#']) || !base.starts_with("http") {
        return None;
    }
    let deployment = call.strip_prefix("deployments/").map(|rest| {
        let endings = ["/chat/completions", "/responses"];
        endings.iter().find_map(|ending| rest.strip_suffix(ending)).unwrap_or(rest)
    });
    let mut fields = vec![format!("\"base_url\": \"{base}\"")];
    match deployment {
        Some(name) if !name.is_empty() && is_word(name) => fields.push(format!("\"model_id\": \"{name}\"")),
        None if call == "responses" && !version.is_empty() => {}
        _ => return None,
    }
    if !version.is_empty() {
        fields.push(format!("\"api_version\": \"{version}\""));
    }
    Some(fields.join(", "))
}

/// The ending of the address of a call, and how it is shown.
fn call(path: &str) -> Option<(&'static str, &'static str)> {
    CALLS.iter().copied().find(|(ending, _)| path.ends_with(ending))
}

/// The address that is meant, where only one can be.
pub(super) fn certain(text: &str) -> Option<String> {
    let whole = text.trim().trim_end_matches('/');
    let meant = call(whole).map_or(whole, |(ending, _)| whole.trim_end_matches(ending));
    if meant.contains("/models/") && whole.ends_with("enerateContent") {
        return None; // the version and the model stand there too
    }
    let meant = match meant.split_once(":/") {
        Some((scheme @ ("http" | "https"), rest)) if !rest.starts_with('/') => format!("{scheme}://{rest}"),
        _ => meant.to_owned(),
    };
    (address_fault(text).is_some() && address_fault(&meant).is_none()).then_some(meant)
}

/// What is wrong with the id of a repository on the hub.
pub(super) fn hub_id_fault(text: &str) -> Option<&'static str> {
    if text.contains("://") || text.starts_with("huggingface.co/") || text.starts_with("hf.co/") {
        return Some("is an address, not the id of a repository");
    }
    let is_path = text.starts_with(['.', '/', '~', '$']);
    (!is_path && text.ends_with('/') && text.trim_end_matches('/').matches('/').count() <= 1)
        .then_some("ends with a slash")
}

/// The id that is meant, where only one can be.
pub(super) fn certain_hub_id(text: &str) -> Option<String> {
    let text = text.trim();
    let path = text.split_once("://").map_or(text, |(_, rest)| rest);
    let hosts = ["www.huggingface.co/", "huggingface.co/", "hf.co/"];
    let on_the_hub = hosts.iter().find_map(|host| path.strip_prefix(host));
    let id = on_the_hub.or((path == text).then_some(text))?.trim_end_matches('/');
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let is_id = id.split_once('/').is_some_and(|(owner, name)| is_part(owner) && is_part(name));
    (is_id && id != text && hub_id_fault(id).is_none()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_can_be_called() {
        let zone = "http://[fe80::1%25eth0]/v1";
        for right in
            ["http://h", "https://h/v1/", " http://[::1]:8000/v1", "HTTPS://h:443", "http://h:", zone]
        {
            assert_eq!(address_fault(right), None, "{right}");
        }
        for wrong in [
            "",
            "h",
            "h:80/v1",
            "https:/h/v1",
            "ftp://h",
            "http://",
            "http:///v1",
            "http://h:x/v1",
            "http://u:p@h",
            "http://h?k=1",
            "http://h:0/v1",
            "http://h:65536/v1",
            "http://::1:8000/v1",
            "http://[::1/v1",
            "http://[::x]/v1",
            "http://h/v1 http://i/v1",
            "http://h/v1, http://i/v1",
            "http://h/v1,http://i/v1",
            "http://h/v1\0",
        ] {
            assert!(address_fault(wrong).is_some(), "{wrong}");
        }
        assert_eq!(certain("https:/h/v1").as_deref(), Some("https://h/v1"));
        for pasted in ["https://h/v1/chat/completions/", "https://h/v1/responses", "https://h/v1/completions"]
        {
            assert_eq!(certain(pasted).as_deref(), Some("https://h/v1"));
        }
        assert_eq!(certain("https://h/v1/messages").as_deref(), Some("https://h"));
        assert_eq!(certain("http://127.0.0.1:11434/api/chat").as_deref(), Some("http://127.0.0.1:11434"));
        assert!(address_fault("https://h/v1beta/models/m:generateContent").is_some());
        for doubtful in ["h:80/v1", "http://u:p@h/chat/completions", "http://h/v1"] {
            assert_eq!(certain(doubtful), None, "{doubtful}");
        }
    }

    #[test]
    fn files_with_addresses() {
        for (text, path) in [
            ("file:a.txt", "a.txt"),
            ("file:///a/b", "/a/b"),
            (" ./b ", "./b"),
            ("~/c", "~/c"),
            ("../d", "../d"),
        ] {
            assert_eq!(servers_file(text), Some(path), "{text}");
        }
        for text in ["", "file:", "file://", "a.txt", "h:80/v1", "http://h/v1"] {
            assert_eq!(servers_file(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_that_azure_shows() {
        let at = "https://r.openai.azure.com";
        let whole =
            format!("{at}/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21&key=hidden");
        assert_eq!(
            azure_call(&whole).unwrap(),
            format!("\"base_url\": \"{at}\", \"model_id\": \"my-gpt\", \"api_version\": \"2024-10-21\"")
        );
        assert!(azure_call(&format!("{at}/openai/deployments/my-gpt/")).is_some());
        assert!(azure_call(&format!("{at}/openai/responses?api-version=2025-04-01-preview")).is_some());
        let models = "https://r.services.ai.azure.com/models/chat/completions";
        let fields = "\"base_url\": \"https://r.services.ai.azure.com\"";
        assert_eq!(azure_call(&format!("{models}?api-version=2024-05-01-preview")).as_deref(), Some(fields));
        assert_eq!(azure_call(models), None);
        for other in [
            "/openai/v1",
            "/openai",
            "/openai/responses",
            "/openai/deployments",
            "/openai/deployments/a/b/c",
            "/openai/deployments/m?api-version=hidden",
            "/v1/responses?api-version=2024-10-21",
        ] {
            assert_eq!(azure_call(&format!("{at}{other}")), None, "{other}");
        }
        assert_eq!(azure_call("https://u:p@h/openai/deployments/m"), None);
    }

    #[test]
    fn ids_of_repositories() {
        for right in ["org/m", "m", "~/models/m/", "./m/", "/models/m/", "a/b/c/"] {
            assert_eq!(hub_id_fault(right), None, "{right}");
        }
        assert_eq!(certain_hub_id("https://huggingface.co/org/m-7.1_b/").as_deref(), Some("org/m-7.1_b"));
        assert_eq!(certain_hub_id("hf.co/org/m").as_deref(), Some("org/m"));
        assert_eq!(certain_hub_id("org/m/").as_deref(), Some("org/m"));
        assert_eq!(certain_hub_id("https://huggingface.co/org/m/tree/main"), None);
        assert_eq!(certain_hub_id("https://example.org/m"), None);
    }
}
