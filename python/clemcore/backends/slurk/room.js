// The page of a person in a room: one message in answer to each message of the game master, exactly as it is typed.
// slurk runs this whenever it applies the layout, which it does anew after a lost connection.
(function () {
  // "readonly" is slurk's, for rooms where nobody can write; "disabled" is ours.
  function wait(isWaiting) {
    const field = document.getElementById("text");
    field.disabled = isWaiting;
    if (field.readOnly) return;
    field.placeholder = isWaiting
      ? "Please wait for the next message."
      : "Your answer: Enter sends it, Shift+Enter begins a new line.";
    // Not by jQuery, which remembers a focus that failed and then never sets one again. While the page is being
    // built up the field cannot be seen, and what cannot be seen takes no focus.
    window.setTimeout(
      function () {
        if (!field.disabled) field.focus();
      },
      field.getClientRects().length === 0 ? 1000 : 0
    );
  }

  // Everything that is typed is an answer: a "/", "@" or "image:" in front has no special meaning.
  function answer(room, user, time, text) {
    const trimmed = text.trim();
    if (!trimmed) return;
    wait(true);
    submit_text(
      trimmed,
      function () {
        display_message(user, time, trimmed, false);
      },
      function (error) {
        $("#text").val(text);
        wait(false);
        display_info(time, "Not sent: " + (error || "please try again"));
      }
    );
  }

  // After the page was loaded again: the episode so far, and whose turn it is.
  function print(entry) {
    const isText = entry.event === "text_message";
    const isImage = entry.event === "image_message";
    const time = (entry.date_modified || entry.date_created).replace("T", " ");
    if (entry.event === "command" && entry.data.command === "done") {
      $("#chat-area").empty();
      wait(true);
    } else if (isText) {
      display_message(known(entry.user), time, entry.data.message, false);
    } else if (isImage) {
      display_image(known(entry.user), time, entry.data.url, entry.data.width, entry.data.height, false);
    }
    if (isText || isImage) wait(Number(entry.user.id) === Number(self_user.id));
  }

  // The log has no names of those who are not there at the moment.
  function known(user) {
    return { id: user.id, name: user.name || "Game Master" };
  }

  function heard(data) {
    if (self_user !== undefined && data.user.id !== self_user.id) wait(false);
  }

  function commanded(data) {
    if (data.command !== "done") return;
    $("#chat-area").empty();
    display_info(null, "This episode is over. The next one begins with the next message.");
    wait(true);
  }

  // With a layout slurk also sets functions of its own, empty ones where the layout names none, just after this
  // script has run. The next microtask comes behind them, and before the history is shown.
  Promise.resolve().then(function () {
    keypress = answer;
    window.print_history = print;
    wait(true);
  });
  if (window.clemcoreRoom) return;
  window.clemcoreRoom = true;
  socket.on("text_message", heard);
  socket.on("image_message", heard);
  socket.on("command", commanded);
})();
