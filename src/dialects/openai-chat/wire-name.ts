/** The name of this wire in blocks that only it understands. */
export const WIRE = "openai-chat";
