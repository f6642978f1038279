// A room in React: who is there, what is said, and a field to say something.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { connect } from "tannoy-client";
import { useRoom, useStatus } from "tannoy-client/react";

const parameters = new URLSearchParams(location.search);
const client = connect(parameters.get("cluster"), { userId: parameters.get("user") });

function Lobby() {
  const { state } = useStatus(client);
  const { items, users, send } = useRoom(client, "lobby", { history: 20 });

  function submit(event) {
    event.preventDefault();
    const { text } = event.currentTarget.elements;
    send({ text: text.value }).catch((error) => alert(error.message));
    text.value = "";
  }

  return (
    <form onSubmit={submit}>
      <p id="state">{state}</p>
      <p id="people">{users.map(({ username }) => username).join(", ")}</p>
      <ol>
        {items.map((item, index) => (
          <li key={index}>{item.type === "gap" ? "Messages may be missing here." : item.content.text}</li>
        ))}
      </ol>
      <input name="text" />
    </form>
  );
}

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <Lobby />
  </StrictMode>,
);
